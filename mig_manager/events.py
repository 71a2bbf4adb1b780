"""Records Kubernetes Events about the MIG config of the Node."""

from mig_manager.outcome import Reason
from mig_manager.status import Status
from node_core.domain.events import Event, Reference, event_name
from node_core.runtime.event_recorder import EventRecorder, rfc3339
from node_core.runtime.services import Services

EVENT_REASONS = {
    Reason.APPLIED: "MIGConfigApplied",
    Reason.WAITING: "MIGConfigWaiting",
    Reason.IN_USE: "MIGConfigFailed",
    Reason.INVALID: "MIGConfigFailed",
    Reason.FAILED: "MIGConfigFailed",
    Reason.HANGS: "MIGConfigFailed",
    Reason.REBOOTING: "MIGConfigRebooting",
}
"""Reason of the condition -> reason of the Event. Other reasons cause no Event."""


class MigEventRecorder:
    def __init__(self, recorder: EventRecorder, services: Services, agent: str, node_name: str) -> None:
        self._recorder, self._services = recorder, services
        self._agent, self._node_name = agent, node_name

    def record(self, status: Status) -> None:
        """Records an Event about the Node. Callable from any thread."""
        if status.reason in EVENT_REASONS:
            event = status_event(status, self._services.wall(), agent=self._agent, node_name=self._node_name)
            self._recorder.record(lambda: (event,))


def status_event(status: Status, at: float, *, agent: str, node_name: str) -> Event:
    """Builds the Event. at: Unix seconds. PURE."""
    reason = EVENT_REASONS[status.reason]
    return Event(
        name=event_name(node_name, reason, status.message, at),
        about=Reference(kind="Node", name=node_name, uid=node_name),
        reason=reason,
        note=status.message,
        at=rfc3339(at),
        agent=agent,
        node_name=node_name,
        is_warning=status.is_failed,
    )
