"""What the plugin does while mig-manager changes the MIG layouts of this node; see `gpu_core.host.mig_status`."""

from collections.abc import Callable

import structlog

from gpu_core.host.mig_status import MigStatus
from node_core.domain.labels import MIG_CONFIG, Labels

log = structlog.get_logger(__name__)

WAIT_SECONDS = 300.0
"""The maximum time from the start of the plugin to the first discovery, in case mig-manager does not run."""
WAITING = "mig-manager has not made the MIG layout of this boot yet"


class MigGate:
    """Delays the first discovery until the layout of this boot is made, on a Node with a MIG config. is_required: False for no delay.

    leaving: the UUIDs of devices that mig-manager is about to destroy. read, clock: seconds of the monotonic clock.
    """

    def __init__(self, read: Callable[[], MigStatus], clock: Callable[[], float], *, is_required: bool) -> None:
        self._read, self._clock = read, clock
        self._status = MigStatus()
        self._is_open = not is_required
        self._since: float | None = None

    @property
    def leaving(self) -> frozenset[str]:
        return self._status.leaving

    @property
    def due(self) -> float | None:
        """When the delay ends at the latest; None without a delay."""
        return None if self._is_open or self._since is None else self._since + WAIT_SECONDS

    def refresh(self) -> None:
        """Reads what mig-manager has published."""
        self._status = self._read()

    def is_open(self, labels: Labels) -> bool:
        """Returns whether the GPUs may be discovered. Never closes again."""
        if not self._is_open:
            now = self._clock()
            self._since = now if self._since is None else self._since
            is_overdue = now - self._since >= WAIT_SECONDS
            if is_overdue:
                log.warning("mig_wait_ended", why=WAITING, effect="the present devices are advertised")
            self._is_open = is_overdue or self._status.is_settled or MIG_CONFIG not in labels
        return self._is_open
