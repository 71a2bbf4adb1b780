"""Completes or reverts the change of an attempt whose process has ended in the middle."""

from collections.abc import Mapping

import msgspec
import structlog

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.plan import Layout, plan_restore, read_layout
from gpu_core.nvml.mig_apply import restore_layout
from gpu_core.nvml.mig_reader import read_mig_gpus
from gpu_core.nvml.source import is_released
from mig_manager.journal import Change
from mig_manager.policy import describe_busy, select_busy
from mig_manager.surroundings import Changes, Progress, Report, Surroundings
from node_core.errors import MigError, NodeError

log = structlog.get_logger(__name__)


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    around: Surroundings
    report: Report

    def run(self, *, is_required: bool) -> bool:
        """Completes the changes of a process that was ended, or reverts a change that cannot be completed.

        Raises NodeError if a change can be neither completed nor reverted. If the recovery is not required, logs the error and returns
        False: the plan of a requested config starts from any layout, so an old change must not prevent the plan.
        """
        changes = self.around.journal.read()
        if changes:
            self.around.end_reset()
        try:
            for change in changes:
                self.report(Progress(f"completing an interrupted change of {change.gpu}"))
                self._recover(change)
        except NodeError as error:
            if is_required or is_released(error):
                raise
            log.warning("mig_change_not_recovered", why=str(error))
            return False
        if changes:
            self.around.journal.clear()
        return True

    def _recover(self, change: Change) -> None:
        with self.around.open_nvml() as nvml:
            gpus, faults = read_mig_gpus(nvml)
        gpu = next((each for each in gpus if each.uuid == change.gpu), None)
        if gpu is None and not faults:  # the GPU was removed from the node
            return
        if gpu is not None and gpu.is_enabled == gpu.is_pending and read_layout(gpu) in (change.before, change.after):
            return
        try:
            self._restore_free(change.gpu, change.after)
        except NodeError as error:
            log.warning("mig_change_not_completed", gpu=change.gpu, why=str(error))
            self._restore_free(change.gpu, change.before)
        log.info("mig_change_recovered", gpu=change.gpu)

    def _restore_free(self, uuid: GpuUuid, layout: Layout) -> None:
        """As `restore`. Raises MigError if a device that must go is in use: pods may have arrived since the change was interrupted."""
        with self.around.open_nvml() as nvml:
            gpus, _ = read_mig_gpus(nvml)
            plans = [plan_restore(gpu, layout) for gpu in gpus if gpu.uuid == uuid]
            leaving = Changes(plans=tuple(plans), usage={}).leaving
            busy = select_busy(self.around.read_usage(nvml), leaving) if leaving else {}
        if busy:
            raise MigError(describe_busy(busy))
        self.report(Progress(f"completing an interrupted change of {uuid}", is_changing=True))
        restore(self.around, {uuid: layout})


def restore(around: Surroundings, layouts: Mapping[GpuUuid, Layout]) -> None:
    """Makes the layouts of GPUs equal to recorded ones. Raises MigError if a GPU needs a reset, or cannot have the layout."""
    if pending := select_pending(around, layouts):
        raise MigError(f"the MIG mode of {', '.join(pending)} needs a reset of the GPU")


def select_pending(around: Surroundings, layouts: Mapping[GpuUuid, Layout]) -> tuple[GpuUuid, ...]:
    """As `restore`. Returns the GPUs whose mode needs a reset: they do not have the layout yet. Raises NodeError."""
    with around.open_nvml() as nvml:
        return tuple(uuid for uuid, layout in layouts.items() if not restore_layout(nvml, uuid, layout))
