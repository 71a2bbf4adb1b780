"""The Events about NVIDIADrivers. PURE."""

from gpu_operator.plan.status import ERROR, READY, find_condition
from gpu_operator.spec import API_VERSION, KIND
from gpu_operator.view import Obj
from node_core.domain.events import Event, Reference, event_name

AGENT = "gpu-operator"


def plan_event(driver: Obj, status: Obj, *, at: str) -> Event | None:
    """Returns the Event for a change of the status, or None if neither a problem nor readiness is new. at: RFC 3339."""
    new = {kind: find_condition({"status": status}, kind) for kind in (ERROR, READY)}
    old = {kind: find_condition(driver, kind) for kind in new}
    is_error = new[ERROR].get("status") == "True"
    kind = ERROR if is_error else READY
    if _key(new[kind]) == _key(old[kind]) or (not is_error and new[READY].get("status") != "True"):
        return None
    metadata, reason = driver["metadata"], str(new[kind]["reason"])
    about = Reference(api_version=API_VERSION, kind=KIND, name=metadata["name"], uid=metadata.get("uid"))
    return Event(
        name=event_name(metadata["name"], metadata.get("uid"), reason, at),
        about=about,
        reason=reason,
        note=str(new[kind]["message"]),
        at=at,
        agent=AGENT,
        node_name="",
        is_warning=is_error,
    )


def _key(condition: Obj) -> tuple[str, str]:
    return str(condition.get("status")), str(condition.get("reason"))
