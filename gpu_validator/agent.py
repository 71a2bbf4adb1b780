"""The controller of gpu-validator: decides when the checks run, and shows their results.

The checks run at the start, after a change of their inputs, and after a failure with growing delays. The controller never exits because
of the state of the node.
"""

from collections.abc import Callable

import structlog

from gpu_core.assembly import Dependencies
from gpu_core.domain.resources import PREFIX
from gpu_validator.build import Host, build_validator
from gpu_validator.check import Name, Report, failed
from gpu_validator.events import ValidationEventRecorder
from gpu_validator.files import plan_files, write_files
from gpu_validator.inputs import Inputs
from gpu_validator.kubelet import NodeState
from gpu_validator.node_writer import ValidationWriter
from gpu_validator.runner import ValidationRunner
from gpu_validator.settings import ValidatorSettings
from gpu_validator.slices import SliceReader
from gpu_validator.status import Status, describe_status
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import GPU_VALIDATED, Condition
from node_core.domain.node import NodeView
from node_core.host.inotify import DirectoryWatch
from node_core.runtime import metrics
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gpu-validator"
CHANGED, AGAIN, HANG = "changed", "again", "hang"
"""The timers of the next validation: after a change of the inputs, and without one. HANG: the running one has not ended in time."""
HANG_SECONDS = 600.0
"""More than the sum of the limits of the checks. Calls into a driver that hangs have no limit."""
HANGS = Report(
    checks=(
        failed(
            Name.DRIVER,
            f"the checks have not ended after {HANG_SECONDS:.0f} s",
            "check the kernel log for NVRM lines: the driver may hang",
        ),
    )
)
FIRST_SECONDS = 5.0
"""The first validation waits this time for the Node."""
SETTLE_SECONDS = 1.0
"""Changes within this time cause one validation."""
INTERVAL_SECONDS = 10.0
"""The minimum time between the starts of two validations."""
RETRIES = Backoff(first=15.0, maximum=300.0)
WATCH_SECONDS = 0.5
"""The minimum time between two reports of changed files."""

WriteFiles = Callable[[Report | None], str | None]
"""Writes the files of a report, None to remove all. Returns why that is not possible, or None."""


class ValidatorController:
    """validate: runs all checks. read_inputs: what the checks depend on."""

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        validate: Callable[[NodeState], Report],
        read_inputs: Callable[[NodeState], Inputs],
        runner: ValidationRunner,
        writer: ValidationWriter,
        events: ValidationEventRecorder,
        write_files: WriteFiles,
    ) -> None:
        self._services, self._timers = services, timers
        self._validate, self._read_inputs, self._runner = validate, read_inputs, runner
        self._writer, self._events, self._write_files = writer, events, write_files
        self._node: NodeView | None = None
        self._validated: Inputs | None = None
        self._started_at: float | None = None
        self._failures = 0
        self._condition: Condition | None = None

    def start(self) -> None:
        self._services.readiness.expect(f"{NAME}/node")
        self._services.readiness.expect(f"{NAME}/checks")
        self._update_files(None)
        self._timers.set_after(AGAIN, FIRST_SECONDS)

    def handle(self, message: AgentMessage) -> None:
        match message:
            case NodeChanged(view):
                self._services.readiness.report(f"{NAME}/node", None)
                is_first, self._node = self._node is None, view
                self._writer.observe(view)
                if is_first and self._started_at is None:
                    self._timers.set_after(CHANGED, 0.0)
                elif self._validated is not None and self._validated.node != self._state():
                    self._check_inputs()
            case NodeUnavailable(error):
                self._services.readiness.report(f"{NAME}/node", str(error))
                self._services.metrics.add(metrics.ERRORS, agent=NAME, check="node")
            case InputsChanged() | Resync():
                self._check_inputs()
            case _:
                pass

    def timer(self, name: str) -> None:
        if name in (CHANGED, AGAIN) and not self._runner.is_running:
            self._begin()
        elif name == HANG and self._runner.is_running:
            self._show(HANGS)

    def reconcile(self) -> None:
        has_ended, report = self._runner.pop_report()
        if not has_ended:
            return
        self._timers.cancel(HANG)
        if report is not None:
            self._show(report)
        if report is None or report.failure is not None:
            self._failures += 1
            self._timers.set_after(AGAIN, RETRIES.delay(self._failures, self._services.chance()))
        else:
            self._failures = 0
        self._check_inputs()

    def close(self, *, is_final: bool) -> None:
        """A pod of others must not start after the end of the validator because of an old result."""
        if is_final:
            self._update_files(None)

    def _begin(self) -> None:
        for name in (CHANGED, AGAIN):
            self._timers.cancel(name)
        state = self._state()
        self._validated, self._started_at = self._read_inputs(state), self._services.clock()
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._timers.set_after(HANG, HANG_SECONDS)
        self._runner.begin(lambda: self._validate(state))

    def _check_inputs(self) -> None:
        """Schedules a validation if the inputs differ from those of the last one. A running one is followed by another.

        Further changes do not postpone a validation that is scheduled.
        """
        if self._started_at is None or self._runner.is_running or self._timers.is_set(CHANGED):
            return
        if self._read_inputs(self._state()) != self._validated:
            earliest = self._started_at + INTERVAL_SECONDS - self._services.clock()
            self._failures = 0
            self._timers.set_after(CHANGED, max(SETTLE_SECONDS, earliest))

    def _state(self) -> NodeState:
        """Returns what the checks need of the Node. Other changes of the Node do not start a validation."""
        node = self._node
        if node is None:
            return NodeState()
        allocatable = {name: amount for name, amount in sorted(node.allocatable.items()) if name.startswith(PREFIX)}
        return NodeState(allocatable=allocatable, kubelet=node.kubelet_version, runtime=node.container_runtime)

    def _show(self, report: Report) -> None:
        self._update_files(report)
        status = describe_status(report)
        failure = report.failure
        problem = None if failure is None else f"{failure.name}: {failure.sentence}"
        self._services.readiness.report(f"{NAME}/checks", None)
        self._services.metrics.replace(
            metrics.VALIDATION, NAME, {(NAME, str(each.name), str(each.verdict)): 1 for each in report.checks}
        )
        self._writer.desire(status)
        self._report_change(status, problem)

    def _report_change(self, status: Status, problem: str | None) -> None:
        """Logs a new reason, and records an Event unless the Node shows the reason already."""
        before, self._condition = self._condition, status.condition
        if status.condition is None or (before is not None and before.reason == status.condition.reason):
            return
        log.info("gpus_validated" if problem is None else "gpu_validation_failed", why=problem)
        observed = None if self._node is None else self._node.conditions.get(GPU_VALIDATED)
        if observed is None or observed.reason != status.condition.reason:
            self._events.record(status.condition)

    def _update_files(self, report: Report | None) -> None:
        self._services.readiness.report(f"{NAME}/files", self._write_files(report))


def build_agent(
    settings: ValidatorSettings, dependencies: Dependencies, services: Services
) -> ControlLoop[ValidatorController]:
    """Builds the agent without starting it. Adds its threads to the services of the process."""
    dependencies.uses_nvml = True
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)
    host = Host(settings, dependencies)
    slices = SliceReader(dependencies.node.api)
    validator = build_validator(settings, dependencies, services, host, read_slices=slices.read)
    writer = ValidationWriter(dependencies.node.api, services, agent=NAME)
    watches = [
        DirectoryWatch(
            folder,
            lambda: mailbox.post(InputsChanged()),
            contents=folder in host.cdi_folders,
            min_interval=WATCH_SECONDS,
        )
        for folder in (*host.cdi_folders, settings.device_plugin_folder)
    ]
    dependencies.background_services += [writer, *watches]

    def update_files(report: Report | None) -> str | None:
        if settings.validations is None:
            return None
        return write_files(settings.validations, {} if report is None else plan_files(report, host.place))

    controller = ValidatorController(
        services,
        timers,
        validate=validator.run,
        read_inputs=host.read_inputs,
        runner=ValidationRunner(lambda: mailbox.post(Wake())),
        writer=writer,
        events=ValidationEventRecorder(
            dependencies.event_recorder(services), services, NAME, dependencies.common.node_name
        ),
        write_files=update_files,
    )
    return ControlLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))
