"""The controller of gpu-toolkit: checks the runtime at the start and periodically, changes it if needed, and shows the result.

The result is the readiness of the pod, a metric, a log line and, after a change or a failure, an Event of the Node. It is no condition of
the Node: GPUReady of gpu-device-plugin already shows whether pods can get GPUs, and another condition would need the right to change Nodes.
"""

from collections.abc import Callable

import structlog

from gpu_toolkit.build import NoRuntimeError
from gpu_toolkit.changer import Changer
from gpu_toolkit.model import Assessment, Reason
from node_core.domain.backoff import Backoff
from node_core.domain.events import Event, Reference, event_name
from node_core.errors import NodeError
from node_core.runtime import metrics
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.event_recorder import EventRecorder, rfc3339
from node_core.runtime.instance_lock import InstanceLock
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Resync
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gpu-toolkit"
CHECK = f"{NAME}/runtime"
PASS = "pass"  # noqa: S105  # nosec B105 # the name of a timer
RETRIES = Backoff(first=5.0, maximum=300.0)
Operation = Callable[[Changer], Assessment]
OPERATIONS: dict[str, Operation] = {
    "apply": lambda changer: changer.apply(),
    "report": lambda changer: changer.report(),
    "revert": lambda changer: changer.revert(),
}
"""The mode -> what the agent does in each pass."""


class ToolkitController:
    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        run: Callable[[], Assessment],
        events: EventRecorder,
        node_name: str,
    ) -> None:
        self._services, self._timers = services, timers
        self._run, self._events, self._node_name = run, events, node_name
        self._failures = 0
        self._state: Assessment | None = None

    def start(self) -> None:
        self._services.readiness.expect(CHECK)
        self._timers.set_after(PASS, 0.0)

    def handle(self, message: AgentMessage) -> None:
        if isinstance(message, Resync) and not self._timers.is_set(PASS):
            self._timers.set_after(PASS, 0.0)

    def timer(self, name: str) -> None:
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        try:
            state = self._run()
        except NodeError as error:
            self._failures += 1
            self._services.metrics.add(metrics.ERRORS, agent=NAME, check="runtime")
            reason = Reason.NOT_FOUND if isinstance(error, NoRuntimeError) else Reason.UNKNOWN
            state = Assessment(reason=reason, message=str(error))
            self._timers.set_after(name, RETRIES.delay(self._failures, self._services.chance()))
        else:
            self._failures = 0
        self._show(state)

    def reconcile(self) -> None: ...

    def close(self, *, is_final: bool) -> None: ...

    def _show(self, state: Assessment) -> None:
        before, self._state = self._state, state
        self._services.readiness.report(CHECK, None if state.is_fine else state.message)
        self._services.metrics.replace(metrics.RUNTIME_REASON, NAME, {(NAME, str(state.reason)): 1})
        if before is None or (before.reason, before.message) != (state.reason, state.message):
            log.info("runtime_state_changed", reason=str(state.reason), why=state.message)
            if state.is_changed or state.reason in (Reason.REFUSED, Reason.READ_ONLY):
                event = state_event(state, self._services.wall(), self._node_name)
                self._events.record(lambda: (event,))


def state_event(state: Assessment, at: float, node_name: str) -> Event:
    """Builds the Event about the Node. at: Unix seconds. PURE."""
    reason = f"Runtime{state.reason}"
    return Event(
        name=event_name(node_name, reason, state.message, at),
        about=Reference(kind="Node", name=node_name, uid=node_name),
        reason=reason,
        note=state.message,
        at=rfc3339(at),
        agent=NAME,
        node_name=node_name,
        is_warning=not state.is_fine,
    )


def build_agent(
    run: Callable[[], Assessment],
    services: Services,
    events: EventRecorder,
    node_name: str,
    lock: InstanceLock | None = None,
) -> ControlLoop[ToolkitController]:
    """Builds the agent without starting it. run: one pass."""
    timers = Timers(services.clock)
    controller = ToolkitController(services, timers, run=run, events=events, node_name=node_name)
    return ControlLoop(controller, services, mailbox=Mailbox(), timers=timers, lock=lock)
