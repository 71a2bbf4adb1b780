"""One attempt to give the GPUs the requested layouts: recover, read, plan, free the devices that must go, apply, and compare again.

Each GPU is a transaction of its own: a GPU whose change has succeeded keeps its new layout if the change of another GPU fails, because
pods may use its new devices already. Nothing is destroyed before everything that must go, on all GPUs, is free.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from gpu_core.domain.inventory import Fault, Gpu, GpuUuid, Inventory, MigUuid
from gpu_core.mig.hooks import Hook, HookPoint
from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import GpuPlan, Layout, plan_restore, plan_result, read_layout
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpu_core.nvml.api import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, Nvml, OpenNvml
from gpu_core.nvml.mig_apply import apply_plan, restore_layout
from gpu_core.nvml.mig_reader import read_mig_gpus
from gpu_core.nvml.source import is_released
from mig_manager.describe import describe_plan
from mig_manager.hooks import HookRunner
from mig_manager.journal import Change, Journal, record_change
from mig_manager.outcome import Applied, Busy, Failed, NotReady, Outcome, Reason, Rebooting, Released, Request
from mig_manager.policy import Usage, describe_busy, select_busy, select_pods
from mig_manager.reboot import RebootPolicy
from mig_manager.reset import RESET_SECONDS
from node_core.domain.busy_policy import BusyPolicy
from node_core.errors import MigError, NodeError, NotReadError, NvmlError, SettingsError
from node_core.kube.pods import PodRemover, remove_pod

log = structlog.get_logger(__name__)

ROUNDS = 3
"""Plans until the layout is the requested one. A GPU whose driver lists no profiles without MIG mode needs a plan for the mode first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an attempt reads and changes.

    open_nvml: raises NvmlError RELEASED during a release. discover: returns the present inventory; raises NvmlError.
    select: returns the requested layout of each GPU that a config selects; raises MigError, SettingsError or NotReadError.
    read_usage: raises MigError.
    set_leaving: publishes the devices that must not get new pods. reset: resets GPUs without users; raises MigError. end_reset: ends the
    release of NVML of a reset that was interrupted. reboot: what to do if a reset is not possible; None for no reboot.
    """

    open_nvml: OpenNvml
    discover: Callable[[], Inventory]
    select: Callable[[str, Sequence[MigGpu]], Mapping[GpuUuid, DesiredGpu]]
    read_usage: Callable[[Nvml, Iterable[Gpu]], Usage]
    set_leaving: Callable[[frozenset[str]], None]
    reset: Callable[[Sequence[MigGpu]], None]
    pods: Callable[[], PodRemover]
    journal: Journal
    end_reset: Callable[[], None] = lambda: None
    hooks: HookRunner = field(default_factory=HookRunner)
    reboot: RebootPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an attempt has to do. plans: only those that are not empty. faults: the GPUs that cannot be read."""

    plans: tuple[GpuPlan, ...] = ()
    usage: Usage
    faults: tuple[Fault, ...] = ()

    @property
    def leaving(self) -> frozenset[str]:
        """The UUIDs of the devices that the plans destroy. A change of the MIG mode needs the whole GPU."""
        modes = (str(plan.gpu.uuid) for plan in self.plans if plan.mode is not None)
        return frozenset((*modes, *(str(uuid) for plan in self.plans for uuid in plan.destroyed_uuids)))

    @property
    def busy(self) -> Usage:
        return select_busy(self.usage, self.leaving)


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of an attempt. is_changing: whether the attempt changes layouts. waits: seconds that the step may wait for others."""

    step: str = ""
    is_changing: bool = False
    waits: float = 0.0


class LayoutChanger:
    """Runs attempts, one at a time. progress: readable from any thread. on_change: called when an attempt begins to change layouts."""

    def __init__(self, surroundings: Surroundings, on_change: Callable[[], None]) -> None:
        self._around, self._on_change = surroundings, on_change
        self.progress = Progress()

    def run(self, request: Request) -> Outcome:
        """Raises no NodeError.

        Devices that must go stay withheld from new pods while the agent waits for their pods, removes the pods, or waits for a reboot.
        """
        outcome = self._try(request)
        has_given_up = request.is_overdue and request.policy is BusyPolicy.WAIT
        is_waiting = isinstance(outcome, Busy) and not has_given_up
        if not is_waiting and not isinstance(outcome, Rebooting):
            self._around.set_leaving(frozenset())
        return outcome

    def _try(self, request: Request) -> Outcome:
        try:
            with self._around.journal.lock():
                return self._recover_and_reach(request)
        except SettingsError as error:
            return Failed(reason=Reason.INVALID, message="; ".join(error.problems))
        except NotReadError:
            return NotReady()
        except NodeError as error:
            return Released() if is_released(error) else _fail(error)
        finally:
            self.progress = Progress()

    def _recover_and_reach(self, request: Request) -> Outcome:
        """Raises NodeError. An interrupted change that cannot be recovered is dropped when the requested layouts are reached."""
        if self._around.reboot is not None and (rebooting := self._around.reboot.resume(request.config)) is not None:
            return rebooting  # nothing is changed while the node shuts down
        is_recovered = self._recover(is_required=request.config is None)
        outcome = self._reach(request)
        if isinstance(outcome, Applied):
            self._complete(request, is_recovered=is_recovered)
        return outcome

    def _complete(self, request: Request, *, is_recovered: bool) -> None:
        if not is_recovered:
            self._around.journal.clear()
        if self._around.reboot is not None and request.config is not None:
            self._around.reboot.complete(request.config)

    def _reach(self, request: Request) -> Outcome:
        """Plans and applies until the layouts are the requested ones. Raises NodeError."""
        done: list[str] = []
        for _ in range(ROUNDS):
            changes = self._plan(request)
            if not changes.plans:
                return _finish(changes.faults, done)
            if (busy := self._free(changes, request)) is not None:
                return busy
            if (rebooting := self._execute(changes.plans, request)) is not None:
                return rebooting
            done += map(describe_plan, changes.plans)
        raise MigError(f"the layouts are not the requested ones after these changes: {'; '.join(done)}")

    def _plan(self, request: Request) -> Changes:
        """Returns the necessary changes. The users of devices are read only if something must go."""
        if request.config is None:
            return Changes(usage={})
        self.progress = Progress("reading the layouts")
        with self._around.open_nvml() as nvml:
            gpus, faults = read_mig_gpus(nvml)
            plan = partial(self._plan_all, request.config, gpus, faults)
            changes = Changes(plans=plan({}), usage={}, faults=faults)
            if not changes.leaving:
                return changes
            usage = self._read_usage(nvml)
            return Changes(plans=plan(usage), usage=usage, faults=faults)

    def _plan_all(
        self, config: str, gpus: Sequence[MigGpu], faults: Sequence[Fault], usage: Usage
    ) -> tuple[GpuPlan, ...]:
        """Raises SettingsError if the config is not possible on these GPUs, and MigError if that may be due to GPUs that cannot be read."""
        busy = frozenset(map(MigUuid, usage))
        try:
            desired = self._around.select(config, gpus)
            plans = [plan_gpu(gpu, desired[gpu.uuid], busy) for gpu in gpus if gpu.uuid in desired]
        except MigError as error:
            if faults:
                raise MigError(f"{error}; {_describe_faults(faults)}") from error
            raise SettingsError([str(error)]) from error
        return tuple(plan for plan in plans if not plan.is_empty)

    def _read_usage(self, nvml: Nvml) -> Usage:
        return self._around.read_usage(nvml, self._around.discover().gpus)

    def _free(self, changes: Changes, request: Request) -> Busy | None:
        """Returns None if all devices that must go are free. Otherwise removes their pods, if the policy says so."""
        if not changes.leaving:
            return None
        if changes.busy and request.is_overdue and request.policy is BusyPolicy.WAIT:
            return Busy(usage=changes.busy)
        self._around.set_leaving(changes.leaving)
        if not changes.busy:  # a pod may have received a device since the plan was made
            with self._around.open_nvml() as nvml:
                changes = replace(changes, usage=self._read_usage(nvml))
        if not changes.busy:
            return None
        return Busy(usage=changes.busy, refusals=tuple(self._remove_pods(changes.busy, request.policy)))

    def _remove_pods(self, busy: Usage, policy: BusyPolicy) -> Iterator[str]:
        """Evicts or deletes the pods. Yields why a pod is not removed."""
        for pod in select_pods(busy) if policy is not BusyPolicy.WAIT else ():
            self.progress = Progress(f"removing {pod.name}")
            if (refusal := remove_pod(self._around.pods(), pod.namespace, pod.pod, policy)) is not None:
                yield refusal
            else:
                log.info("mig_pod_removed", pod=f"{pod.namespace}/{pod.pod}", policy=str(policy))

    def _execute(self, plans: Sequence[GpuPlan], request: Request) -> Rebooting | None:
        """Applies the plans. Raises NodeError after the first failure; the GPUs of later plans are unchanged then.

        After a failure the journal remains for the next attempt, which recovers if a rollback was not possible. If the node needs a reboot,
        the journal remains for the first attempt after the reboot, which completes the change.
        """
        with self._around.hooks.around(plans, self._report_hook):
            self._around.journal.write(map(record_change, plans))
            self.progress = Progress("changing layouts", is_changing=True)
            self._on_change()
            with self._around.open_nvml() as nvml:
                waiting = self._apply_all(nvml, plans)
            if waiting and (rebooting := self._reset(waiting, request)) is not None:
                return rebooting
            self._around.journal.clear()
            return None

    def _report_hook(self, point: HookPoint, hook: Hook) -> None:
        self.progress = Progress(f"running the hook {point}, {hook.command}", waits=self._around.hooks.seconds)

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
        self.progress = Progress(f"changing {plan.gpu.name}", is_changing=True)
        is_complete = apply_plan(nvml, plan)
        log.info("mig_layout_changed", gpu=plan.gpu.name, change=describe_plan(plan), needs_reset=not is_complete)
        return is_complete

    def _reset(self, plans: Sequence[GpuPlan], request: Request) -> Rebooting | None:
        """Resets the GPUs whose MIG mode is pending, and completes their plans. After a failure, restores their layouts.

        Returns Rebooting if the reset is not possible, and a reboot makes the modes active.
        """
        names = ", ".join(plan.gpu.name for plan in plans)
        self.progress = Progress(f"resetting {names}", is_changing=True, waits=RESET_SECONDS)
        try:
            if (rebooting := self._reset_or_plan_reboot(plans, request)) is not None:
                return rebooting
            self._restore({plan.gpu.uuid: plan_result(plan) for plan in plans})
        except NodeError as error:
            raise MigError(f"{error}; {self._roll_back(plans)}") from error
        return None

    def _reset_or_plan_reboot(self, plans: Sequence[GpuPlan], request: Request) -> Rebooting | None:
        """Raises MigError if neither the reset nor a reboot is possible."""
        try:
            self._around.reset([plan.gpu for plan in plans])
        except MigError as error:
            if self._around.reboot is None or request.config is None:
                raise
            return self._around.reboot.plan(request.config, str(error))
        return None

    def _roll_back(self, plans: Sequence[GpuPlan]) -> str:
        """Restores the layouts before the plans. Returns a clause about the result."""
        names = ", ".join(plan.gpu.name for plan in plans)
        try:
            self._restore({plan.gpu.uuid: read_layout(plan.gpu) for plan in plans})
        except NodeError as error:
            log.warning("mig_rollback_failed", gpus=names, why=str(error))
            return f"the previous layouts of {names} are not restored: {error}"
        return f"the previous layouts of {names} are restored"

    def _restore(self, layouts: Mapping[GpuUuid, Layout]) -> None:
        """Raises MigError if a GPU needs a reset, or cannot have the layout."""
        with self._around.open_nvml() as nvml:
            for uuid, layout in layouts.items():
                if not restore_layout(nvml, uuid, layout):
                    raise MigError(f"the MIG mode of {uuid} needs a reset of the GPU")

    def _recover(self, *, is_required: bool) -> bool:
        """Completes the changes of a process that was ended, or reverts a change that cannot be completed.

        Raises NodeError if a change can be neither completed nor reverted. If the recovery is not required, logs the error and returns
        False: the plan of a requested config starts from any layout, so an old change must not prevent the plan.
        """
        changes = self._around.journal.read()
        if changes:
            self._around.end_reset()
        try:
            for change in changes:
                self.progress = Progress(f"completing an interrupted change of {change.gpu}")
                self._recover_gpu(change)
        except NodeError as error:
            if is_required or is_released(error):
                raise
            log.warning("mig_change_not_recovered", why=str(error))
            return False
        if changes:
            self._around.journal.clear()
        return True

    def _recover_gpu(self, change: Change) -> None:
        with self._around.open_nvml() as nvml:
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
        """As `_restore`. Raises MigError if a device that must go is in use: pods may have arrived since the change was interrupted."""
        with self._around.open_nvml() as nvml:
            gpus, _ = read_mig_gpus(nvml)
            plans = [plan_restore(gpu, layout) for gpu in gpus if gpu.uuid == uuid]
            leaving = Changes(plans=tuple(plans), usage={}).leaving
            busy = select_busy(self._read_usage(nvml), leaving) if leaving else {}
        if busy:
            raise MigError(describe_busy(busy))
        self.progress = replace(self.progress, is_changing=True)
        self._restore({uuid: layout})


def _fail(error: NodeError) -> Failed:
    has_driver = not (isinstance(error, NvmlError) and error.code in (DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND))
    return Failed(reason=Reason.FAILED, message=str(error), has_driver=has_driver)


def _finish(faults: Sequence[Fault], done: Sequence[str]) -> Outcome:
    """Returns the result of an attempt after which no change is necessary."""
    if faults:
        return Failed(reason=Reason.FAILED, message=_describe_faults(faults))
    return Applied(changes=tuple(done))


def _describe_faults(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{fault.name} cannot be read: {fault.reason}" for fault in faults)
