"""One attempt to give the GPUs the requested layouts: recover, read, plan, free the devices that must go, apply, and compare again.

Nothing is destroyed before everything that must go, on all GPUs, is free.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import structlog

from gpu_core.domain.inventory import Fault, MigUuid
from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import GpuPlan
from gpu_core.mig.planner import plan_gpu
from gpu_core.nvml.api import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND
from gpu_core.nvml.mig_reader import read_mig_gpus
from gpu_core.nvml.source import is_released
from mig_manager.busy_policy import BusyPolicy
from mig_manager.describe import describe_plan
from mig_manager.execution import Execution
from mig_manager.outcome import Applied, Busy, Failed, NotReady, Outcome, Reason, Rebooting, Released, Request, Stopping
from mig_manager.pod_removal import remove_pod
from mig_manager.policy import Usage, select_pods
from mig_manager.recovery import Recovery
from mig_manager.surroundings import Changes, Progress, Surroundings
from mig_manager.systemd import SECONDS
from node_core.errors import MigError, NodeError, NotReadError, NvmlError, SettingsError
from node_core.values import replace

log = structlog.get_logger(__name__)

ROUNDS = 3
"""Plans until the layout is the requested one. A GPU whose driver lists no profiles without MIG mode needs a plan for the mode first."""


class LayoutChanger:
    """Runs attempts, one at a time. progress: readable from any thread. on_change: called when an attempt begins to change layouts."""

    def __init__(self, surroundings: Surroundings, on_change: Callable[[], None]) -> None:
        self._around, self._on_change = surroundings, on_change
        self.progress = Progress()
        self._has_resumed = False

    def run(self, request: Request) -> Outcome:
        """Raises no NodeError.

        Devices that must go stay withheld from new pods while the agent waits for their pods or other clients, removes the pods, or waits
        for a reboot. GPU clients of others stay stopped only while the agent waits for their end, or for a reboot.
        """
        if not self._has_resumed:  # what an earlier process has stopped, also if this attempt does not end
            self._has_resumed = self._start_clients(request) is None
        outcome = self._try(request)
        if not isinstance(outcome, Rebooting | Stopping):
            outcome = self._resume(request, outcome)
        has_given_up = request.is_overdue and request.policy is BusyPolicy.WAIT
        is_waiting = isinstance(outcome, Busy) and not has_given_up
        if not is_waiting and not isinstance(outcome, Rebooting | Stopping):
            self._around.set_leaving(frozenset())
        return outcome

    def resume_clients(self) -> None:
        """Starts the GPU clients of others again when the agent ends. What does not succeed is logged; the next start tries it again."""
        self._start_clients(Request(config=None))

    def _resume(self, request: Request, outcome: Outcome) -> Outcome:
        """Returns the outcome, or the failure if GPU clients of others do not start again."""
        if (error := self._start_clients(request)) is None:
            return outcome
        before = f"{outcome.message}; " if isinstance(outcome, Failed) else ""
        return Failed(reason=Reason.FAILED, message=f"{before}GPU clients of others are still stopped: {error}")

    def _start_clients(self, request: Request) -> NodeError | None:
        """Starts the GPU clients of others again. Returns the reason if one does not start."""
        try:
            self._around.clients.resume(is_recorded=request.has_paused)
        except NodeError as error:
            log.warning("mig_clients_not_resumed", why=str(error))
            return error
        return None

    def _report(self, progress: Progress) -> None:
        self.progress = progress

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
        is_recovered = Recovery(around=self._around, report=self._report).run(is_required=request.config is None)
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
        with self._around.hooks.open() as hooks:
            execution = Execution(
                around=self._around,
                hooks=hooks,
                config=request.config,
                report=self._report,
                on_change=self._on_change,
            )
            for _ in range(ROUNDS):
                changes = self._plan(request)
                if not changes.plans:
                    return _finish(changes.faults, done)
                obstacle = self._free(changes, request) or self._stop_clients(changes) or execution.run(changes.plans)
                if obstacle is not None:
                    return obstacle
                done += map(describe_plan, changes.plans)
        raise MigError(f"the layouts are not the requested ones after these changes: {'; '.join(done)}")

    def _plan(self, request: Request) -> Changes:
        """Returns the necessary changes. The users of devices are read only if something must go."""
        if request.config is None:
            return Changes(usage={})
        self._report(Progress("reading the layouts"))
        with self._around.open_nvml() as nvml:
            gpus, faults = read_mig_gpus(nvml)
            plan = partial(self._plan_all, request.config, gpus, faults)
            changes = Changes(plans=plan({}), usage={}, faults=faults)
            if not changes.leaving:
                return changes
            usage = self._around.read_usage(nvml)
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

    def _free(self, changes: Changes, request: Request) -> Busy | None:
        """Returns None if all devices that must go are free. Otherwise removes their pods, if the policy says so."""
        if not changes.leaving:
            return None
        changes = self._without_clients(changes)
        if changes.busy and request.is_overdue and request.policy is BusyPolicy.WAIT:
            return Busy(usage=changes.busy)
        self._around.set_leaving(changes.leaving)
        if not changes.busy:  # a pod may have received a device since the plan was made
            with self._around.open_nvml() as nvml:
                changes = self._without_clients(replace(changes, usage=self._around.read_usage(nvml)))
        if not changes.busy:
            return None
        return Busy(usage=changes.busy, refusals=tuple(self._remove_pods(changes.busy, request.policy)))

    def _without_clients(self, changes: Changes) -> Changes:
        """Returns the changes without the users that `_stop_clients` ends. Raises NodeError."""
        if not changes.needs_reset:
            return changes
        return replace(changes, usage=self._around.clients.select_others(changes.busy))

    def _stop_clients(self, changes: Changes) -> Stopping | None:
        """Returns None if no GPU client of others prevents the reset of a GPU. Raises NodeError."""
        if not changes.needs_reset:
            return None
        self._report(Progress("stopping GPU clients of others", waits=SECONDS))
        why = self._around.clients.stop()
        return None if why is None else Stopping(message=why)

    def _remove_pods(self, busy: Usage, policy: BusyPolicy) -> Iterator[str]:
        """Evicts or deletes the pods. Yields why a pod is not removed."""
        for pod in select_pods(busy) if policy is not BusyPolicy.WAIT else ():
            self._report(Progress(f"removing {pod.name}"))
            if (refusal := remove_pod(self._around.pods(), pod.namespace, pod.pod, policy)) is not None:
                yield refusal
            else:
                log.info("mig_pod_removed", pod=f"{pod.namespace}/{pod.pod}", policy=str(policy))


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
