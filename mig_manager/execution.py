"""Applies plans: changes the layouts, resets GPUs, and puts back the previous layouts after a failure.

Each GPU is a transaction of its own: a GPU whose change has succeeded keeps its new layout if the change of another GPU fails, because
pods may use its new devices already.
"""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from gpu_core.mig.hooks import Hook, HookPoint
from gpu_core.mig.plan import GpuPlan, plan_result, read_layout
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.mig_apply import apply_plan
from mig_manager.describe import describe_plan
from mig_manager.hooks import HookSession
from mig_manager.journal import record_change
from mig_manager.outcome import Rebooting
from mig_manager.recovery import restore, select_pending
from mig_manager.reset import RESET_SECONDS
from mig_manager.surroundings import Progress, Report, Surroundings
from node_core.errors import MigError, NodeError

log = structlog.get_logger(__name__)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """config: the requested one, for which the node may be rebooted; None for no reboot. on_change: called before the first change."""

    around: Surroundings
    hooks: HookSession
    config: str | None
    report: Report
    on_change: Callable[[], None]

    def run(self, plans: Sequence[GpuPlan]) -> Rebooting | None:
        """Applies the plans. Raises NodeError after the first failure; the GPUs of later plans are unchanged then.

        After a failure the journal remains for the next attempt, which recovers if a rollback was not possible. If the node needs a reboot,
        the journal remains for the first attempt after the reboot, which completes the change.
        """
        self.hooks.run_before(plans, self._report_hook)
        others = self.around.journal.add(map(record_change, plans))
        self.report(Progress("changing layouts", is_changing=True))
        self.on_change()
        with self.around.open_nvml() as nvml:
            waiting = self._apply_all(nvml, plans)
        if waiting and (rebooting := self._reset(waiting)) is not None:
            return rebooting
        self.around.journal.write(others)
        return None

    def _report_hook(self, point: HookPoint, hook: Hook) -> None:
        self.report(Progress(f"running the hook {point}, {hook.command}", waits=self.around.hooks.seconds))

    def _apply_all(self, nvml: Nvml, plans: Sequence[GpuPlan]) -> list[GpuPlan]:
        """Returns the plans whose GPU must be reset. Raises MigError after the first failure; GPUs that need a reset are restored then."""
        waiting: list[GpuPlan] = []
        try:
            for plan in plans:
                if not self._apply(nvml, plan):
                    waiting.append(plan)  # noqa: PERF401 - the list is used after an error
        except NodeError as error:
            if waiting:
                raise MigError(f"{error}; {self._roll_back(waiting)}") from error
            raise
        return waiting

    def _apply(self, nvml: Nvml, plan: GpuPlan) -> bool:
        self.report(Progress(f"changing {plan.gpu.name}", is_changing=True))
        is_complete = apply_plan(nvml, plan)
        log.info("mig_layout_changed", gpu=plan.gpu.name, change=describe_plan(plan), needs_reset=not is_complete)
        return is_complete

    def _reset(self, plans: Sequence[GpuPlan]) -> Rebooting | None:
        """Resets the GPUs whose MIG mode is pending, and completes their plans. After a failure, restores their layouts.

        Returns Rebooting if the reset is not possible, and a reboot makes the modes active.
        """
        self._report_reset(plans)
        try:
            if (rebooting := self._reset_or_plan_reboot(plans)) is not None:
                return rebooting
            restore(self.around, {plan.gpu.uuid: plan_result(plan) for plan in plans})
        except NodeError as error:
            raise MigError(f"{error}; {self._roll_back(plans)}") from error
        return None

    def _report_reset(self, plans: Sequence[GpuPlan]) -> None:
        names = ", ".join(plan.gpu.name for plan in plans)
        self.report(Progress(f"resetting {names}", is_changing=True, waits=RESET_SECONDS))

    def _reset_or_plan_reboot(self, plans: Sequence[GpuPlan]) -> Rebooting | None:
        """Raises MigError if neither the reset nor a reboot is possible."""
        try:
            self.around.reset([plan.gpu for plan in plans])
        except MigError as error:
            if self.around.reboot is None or self.config is None:
                raise
            return self.around.reboot.plan(self.config, str(error))
        return None

    def _roll_back(self, plans: Sequence[GpuPlan]) -> str:
        """Restores the layouts before the plans. Returns a clause about the result."""
        names = ", ".join(plan.gpu.name for plan in plans)
        try:
            self._restore_before(plans)
        except NodeError as error:
            log.warning("mig_rollback_failed", gpus=names, why=str(error))
            return f"the previous layouts of {names} are not restored: {error}"
        return f"the previous layouts of {names} are restored"

    def _restore_before(self, plans: Sequence[GpuPlan]) -> None:
        """Resets the GPUs whose new MIG mode is active already, because it was reset. Raises NodeError."""
        layouts = {plan.gpu.uuid: read_layout(plan.gpu) for plan in plans}
        if pending := select_pending(self.around, layouts):
            again = [plan for plan in plans if plan.gpu.uuid in pending]
            self._report_reset(again)
            self.around.reset([plan.gpu for plan in again])
            restore(self.around, {uuid: layouts[uuid] for uuid in pending})
