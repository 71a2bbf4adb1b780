"""The controller of mig-manager: follows the label of the Node, starts attempts, and shows their results.

The attempts run in a separate thread. The controller never exits because of the state of the node.
"""

from collections.abc import Callable

import structlog

from gpu_core.assembly import Dependencies
from gpu_core.clients.pause import Pause
from mig_manager.attempts import Attempts
from mig_manager.build import build_changer, build_plugin_status
from mig_manager.busy_policy import BusyPolicy
from mig_manager.events import MigEventRecorder
from mig_manager.node_writer import MigStatusWriter
from mig_manager.outcome import Applied, Busy, Failed, NotReady, Outcome, Reason, Rebooting, Released, Request, Stopping
from mig_manager.policy import select_policy
from mig_manager.settings import MigSettings
from mig_manager.status import NOT_REQUESTED, Status
from mig_manager.surroundings import Progress
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import MIG_CONFIGURED
from node_core.domain.labels import MIG_CONFIG
from node_core.domain.node import NodeView
from node_core.runtime import metrics
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.services import Services
from node_core.values import replace

log = structlog.get_logger(__name__)

NAME = "mig-manager"
ATTEMPT, HANG = "attempt", "hang"
"""Timers: the next attempt, and the time after which the present step of an attempt is reported."""
SETTLE_SECONDS = 0.3
"""A new value of the label counts after this time without another value. So a label that flaps changes no GPU."""
POLL_SECONDS = 2.0
"""Seconds between two checks whether devices are free."""
REBOOT_SECONDS = 5.0
"""Seconds between the state Rebooting and the reboot, in which the Node gets the state; then between two checks."""
HANG_SECONDS = 120.0
"""Seconds after which a step of an attempt is reported to hang, in addition to those that the step may wait."""
RETRIES = Backoff(first=5.0, maximum=300.0)


class MigController:
    """progress: returns what the running attempt does. settle: called when the layouts of this boot are made, or cannot be made."""

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        attempts: Attempts,
        progress: Callable[[], Progress],
        writer: MigStatusWriter,
        events: MigEventRecorder,
        settle: Callable[[], None],
        settings: MigSettings,
    ) -> None:
        self._services, self._timers = services, timers
        self._attempts, self._progress, self._writer, self._events = attempts, progress, writer, events
        self._settle, self._settings = settle, settings
        self._node: NodeView | None = None
        self._request: Request | None = None
        self._settles_at = 0.0
        self._is_outdated = False
        self._busy_since: float | None = None
        self._failures = 0
        self._step = progress()
        self._status: Status | None = None

    def start(self) -> None:
        self._services.readiness.expect(f"{NAME}/node")
        self._services.readiness.expect(f"{NAME}/layout")

    def handle(self, message: AgentMessage) -> None:
        match message:
            case NodeChanged(view):
                self._services.readiness.report(f"{NAME}/node", None)
                self._observe(view)
            case NodeUnavailable(error):
                self._services.readiness.report(f"{NAME}/node", str(error))
                self._services.metrics.add(metrics.ERRORS, agent=NAME, check="node")
            case InputsChanged() | Resync():
                self._attempt_after(0.0)
            case _:
                pass

    def timer(self, name: str) -> None:
        if name == ATTEMPT:
            self._attempt()
        elif name == HANG and self._attempts.current is not None:
            self._check_step()

    def reconcile(self) -> None:
        result = self._attempts.pop_result()
        if result is None:
            if self._config and self._progress().is_changing and not self._is_hanging:
                self._show_applying()
            return
        self._timers.cancel(HANG)
        request, outcome = result
        is_current = self._request is not None and request.config == self._request.config
        if is_current:
            self._process(outcome)
        if self._is_outdated or not is_current:
            self._attempt_after(0.0)

    def close(self, *, is_final: bool) -> None:
        self._attempts.close(is_final=is_final)

    def _observe(self, node: NodeView) -> None:
        is_first, self._node = self._node is None, node
        self._writer.observe(node)
        policy, problem = select_policy(node.annotations, BusyPolicy(self._settings.busy_policy))
        self._services.readiness.report(f"{NAME}/busy-policy", problem)
        request = Request(config=node.labels.get(MIG_CONFIG) or None, policy=policy)
        if request == self._request:
            return
        is_new_config = self._request is not None and request.config not in (None, self._request.config)
        self._request, self._busy_since, self._failures = request, None, 0
        self._settles_at = self._services.clock() + (0.0 if is_first else SETTLE_SECONDS)
        log.info("mig_config_requested", config=request.config, policy=str(policy))
        if is_new_config:
            self._show_applying()  # the label of the state must not show the result of the previous config
        self._attempt_after(0.0)

    def _attempt_after(self, seconds: float) -> None:
        """Schedules an attempt, at the earliest when the label has not changed for SETTLE_SECONDS."""
        if self._request is not None:
            self._timers.set_after(ATTEMPT, max(seconds, self._settles_at - self._services.clock()))

    def _attempt(self) -> None:
        """Starts an attempt. If one is running, which may have read the inputs before their change, its result causes the next one."""
        if self._request is None:
            return
        self._is_outdated = self._attempts.current is not None
        if self._is_outdated:
            return
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._watch_step()
        has_paused = self._node is not None and Pause.MIG_CHANGE.annotation in self._node.annotations
        self._attempts.begin(replace(self._request, is_overdue=self._is_overdue(), has_paused=has_paused))

    def _watch_step(self) -> None:
        self._step = self._progress()
        self._timers.set_after(HANG, HANG_SECONDS + self._step.waits)

    def _check_step(self) -> None:
        """Reports the step of the attempt if it is the one that the timer was set for. Otherwise watches the new step."""
        if self._progress() is not self._step:
            self._watch_step()
            return
        step, seconds = self._step.step or "waiting for the previous attempt", HANG_SECONDS + self._step.waits
        self._show(Reason.HANGS, f"A step of the attempt has not ended after {seconds:.0f} s. The agent is {step}.")

    def _is_overdue(self) -> bool:
        since, limit = self._busy_since, self._settings.busy_timeout
        return since is not None and limit is not None and self._services.clock() - since >= limit

    def _process(self, outcome: Outcome) -> None:
        """Shows the result of an attempt, and schedules the next one."""
        match outcome:
            case Released() | NotReady():
                return  # the end of the release, or the first state of the configs, causes a new attempt
            case Rebooting(message=message):
                self._show(Reason.REBOOTING, message)
                self._attempt_after(REBOOT_SECONDS)
                return  # the layouts are made after the reboot
            case Busy():
                self._wait(outcome)
            case Stopping(message=message):
                self._busy_since = None
                self._show(Reason.WAITING, f"The MIG config {self._config} waits: {message}.")
                self._attempt_after(POLL_SECONDS)
            case Failed(reason=reason, message=message):
                self._busy_since = None
                self._show(reason, f"The MIG config {self._config} is not applied: {message}.")
                self._retry()
                if not outcome.has_driver:
                    return  # the layouts of this boot can still be made, before gpu-device-plugin finds the GPUs
            case Applied():
                self._succeed(outcome)
        self._settle()

    def _wait(self, busy: Busy) -> None:
        if self._busy_since is None:
            self._busy_since = self._services.clock()
        if self._is_overdue():
            self._show(Reason.IN_USE, f"The MIG config {self._config} is not applied: {busy.message}.")
            self._retry()
        else:
            self._show(Reason.WAITING, f"The MIG config {self._config} waits: {busy.message}.")
            self._attempt_after(POLL_SECONDS)

    def _succeed(self, outcome: Applied) -> None:
        self._busy_since, self._failures = None, 0
        for change in outcome.changes:
            log.info("mig_change_completed", change=change)
        if self._request is not None and self._request.config is None:
            self._set(NOT_REQUESTED)
        else:
            self._show(Reason.APPLIED, f"The GPUs have the layout of the MIG config {self._config}.")

    def _retry(self) -> None:
        self._failures += 1
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check="layout")
        self._attempt_after(RETRIES.delay(self._failures, self._services.chance()))

    @property
    def _is_hanging(self) -> bool:
        return self._status is not None and self._status.reason is Reason.HANGS

    @property
    def _config(self) -> str:
        return "" if self._request is None or self._request.config is None else self._request.config

    def _show_applying(self) -> None:
        self._show(Reason.APPLYING, f"The MIG config {self._config} is being applied.")

    def _show(self, reason: Reason, message: str) -> None:
        self._set(Status(config=self._config, reason=reason, message=message))

    def _set(self, status: Status) -> None:
        before, self._status = self._status, status
        self._services.readiness.report(f"{NAME}/layout", status.message if status.is_failed else None)
        self._services.metrics.replace(metrics.MIG_CONFIG_REASON, NAME, {(NAME, str(status.reason)): 1})
        self._writer.desire(status)
        observed = None if self._node is None else self._node.conditions.get(MIG_CONFIGURED)
        is_known = observed is not None and observed.equals(status.condition)
        if (before is None or (before.config, before.reason) != (status.config, status.reason)) and not is_known:
            log.info("mig_state_changed", config=status.config, reason=str(status.reason), why=status.message)
            self._events.record(status)


def build_agent(settings: MigSettings, dependencies: Dependencies, services: Services) -> ControlLoop[MigController]:
    """Builds the agent without starting it. Adds its threads to the services of the process."""
    dependencies.uses_nvml = True
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)
    plugin_status = build_plugin_status(dependencies)
    changer = build_changer(
        settings,
        dependencies,
        services,
        plugin_status,
        agent=NAME,
        on_change=lambda: mailbox.post(Wake()),
        on_configs=lambda: mailbox.post(InputsChanged()),
    )
    writer = MigStatusWriter(dependencies.node.api, services, agent=NAME)
    dependencies.background_services.append(writer)
    controller = MigController(
        services,
        timers,
        attempts=Attempts(changer.run, lambda: mailbox.post(Wake()), end=changer.resume_clients),
        progress=lambda: changer.progress,
        writer=writer,
        events=MigEventRecorder(dependencies.event_recorder(services), services, NAME, dependencies.common.node_name),
        settle=plugin_status.settle,
        settings=settings,
    )
    return ControlLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))
