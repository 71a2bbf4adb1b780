"""Runs the passes of the upgrades, with a clock that neither jumps nor counts times without a controller."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpu_operator.upgrade.apply import apply_steps
from gpu_operator.upgrade.plan import plan_upgrades
from gpu_operator.upgrade.status import DriverUpgrade, upgrade_status
from gpu_operator.view import ClusterView
from node_core.kube.http import ApiClient

MAX_WAIT_S = 60.0
"""While a time-out runs, passes follow each other within this time."""
GAP_S = 2 * MAX_WAIT_S
"""After a longer time without a pass, time-outs begin again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """failures: why steps failed, one sentence each. after_s: seconds until the next pass, if no object changes before; None for never."""

    failures: tuple[str, ...]
    after_s: float | None


class Upgrader:
    """Not thread-safe. clock: monotonic seconds. wall: Unix seconds, read once: afterwards the clock of the host may jump."""

    def __init__(self, api: ApiClient, *, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._api, self._clock = api, clock
        self._offset = wall() - clock()
        self._working_since = self._last = self.now()

    def now(self) -> float:
        return self._offset + self._clock()

    def reconcile(self, view: ClusterView) -> Pass:
        """Plans and applies the next steps. Never raises KubeError."""
        now = self.now()
        if now - self._last > GAP_S:
            self._working_since = now
        steps = plan_upgrades(view, now, self._working_since)
        applied = apply_steps(steps, self._api)
        self._last = now
        if not applied.has_response:
            self._working_since = self.now()
        after = None if steps.after_s is None else min(steps.after_s, MAX_WAIT_S)
        return Pass(failures=applied.failures, after_s=after)

    def status(self, view: ClusterView) -> Mapping[str, DriverUpgrade]:
        """Returns the upgrade of each NVIDIADriver."""
        return upgrade_status(view, self.now(), self._working_since)
