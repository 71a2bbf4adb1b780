"""Records Kubernetes Events about the validation of the Node."""

from gpu_validator.status import Reason
from node_core.domain.conditions import Condition
from node_core.domain.events import Event, Reference, event_name
from node_core.runtime.event_recorder import EventRecorder, rfc3339
from node_core.runtime.services import Services

VALIDATED, FAILED = "GPUValidated", "GPUValidationFailed"


class ValidationEventRecorder:
    def __init__(self, recorder: EventRecorder, services: Services, agent: str, node_name: str) -> None:
        self._recorder, self._services = recorder, services
        self._agent, self._node_name = agent, node_name

    def record(self, condition: Condition) -> None:
        """Records an Event about the Node. Callable from any thread."""
        event = validation_event(condition, self._services.wall(), agent=self._agent, node_name=self._node_name)
        self._recorder.record(lambda: (event,))


def validation_event(condition: Condition, at: float, *, agent: str, node_name: str) -> Event:
    """Builds the Event. at: Unix seconds. PURE."""
    is_valid = condition.reason == Reason.VALIDATED
    reason, note = VALIDATED if is_valid else FAILED, f"{condition.reason}: {condition.message}"
    return Event(
        name=event_name(node_name, reason, note, at),
        about=Reference(kind="Node", name=node_name, uid=node_name),
        reason=reason,
        note=note,
        at=rfc3339(at),
        agent=agent,
        node_name=node_name,
        is_warning=not is_valid,
    )
