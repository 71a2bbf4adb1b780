"""The tables that `kubectl get` prints: `as=Table`, meta.k8s.io/v1. PURE: the caller passes the time.

Source: Kubernetes API concepts, receiving resources as Tables. The columns and cells are those of `kubectl get`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulation.apiserver.status import Obj

Cell = str | int
_NONE = "<none>"
UNKNOWN = "<unknown>"

_STEPS = (
    (120, 1, "s", 0, ""),
    (600, 60, "m", 1, "s"),
    (3 * 3600, 60, "m", 0, ""),
    (8 * 3600, 3600, "h", 60, "m"),
    (48 * 3600, 3600, "h", 0, ""),
    (8 * 86400, 86400, "d", 3600, "h"),
    (2 * 365 * 86400, 86400, "d", 0, ""),
    (8 * 365 * 86400, 365 * 86400, "y", 86400, "d"),
)
"""Upper limit in seconds, the unit in seconds and its letter, and the smaller unit in seconds and its letter (0 for none)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. cell: returns the cell of an object at a time. wide: kubectl prints the column only with -o wide."""

    name: str
    cell: Callable[[Obj, datetime], Cell]
    wide: bool = False

    def definition(self) -> Obj:
        form = "name" if self.name == "Name" else ""
        return {"name": self.name, "type": "string", "format": form, "description": "", "priority": int(self.wide)}


def render_table(kind: str, items: Sequence[Obj], *, now: datetime, metadata: Obj, include: str = "Metadata") -> Obj:
    """Returns a Table with one row for each object. metadata: of the Table. include: Metadata or Object, the object in each row."""
    columns = _COLUMNS.get(kind, _GENERIC)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(item, now) for column in columns]} | _row_object(item, include) for item in items
        ],
    }


def _row_object(item: Obj, include: str) -> Obj:
    if include == "Object":
        return {"object": item}
    return {"object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}}


def human_duration(seconds: float) -> str:
    """Formats a duration as kubectl: 45s, 3m20s, 15m, 5h30m, 2d4h, 400d, 3y20d. A negative duration is 0s."""
    seconds_left = max(int(seconds), 0)
    for below, unit, letter, smaller, small_letter in _STEPS:
        if seconds_left < below:
            smaller_units = seconds_left % unit // smaller if smaller else 0
            return f"{seconds_left // unit}{letter}" + (f"{smaller_units}{small_letter}" if smaller_units else "")
    return f"{seconds_left // (365 * 86400)}y"


def age_of(text: Any, now: datetime) -> str:
    """Returns the time since an RFC 3339 time; `<unknown>` for any other value."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return UNKNOWN
    return human_duration((now - (time if time.tzinfo else time.replace(tzinfo=UTC))).total_seconds())


def _age(obj: Obj, now: datetime) -> str:
    return age_of(obj["metadata"].get("creationTimestamp"), now)


def _text_at(*path: str, default: str = _NONE) -> Callable[[Obj, datetime], Cell]:
    def cell(obj: Obj, _: datetime) -> Cell:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return default if value is None or value == "" else str(value)

    return cell


def _node_status(node: Obj, _: datetime) -> str:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((each.get("status") for each in conditions if each.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    return ",".join(words + ["SchedulingDisabled"] * bool((node.get("spec") or {}).get("unschedulable")))


def _node_roles(node: Obj, _: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in node["metadata"].get("labels") or {} if key.startswith(prefix)}
    return ",".join(sorted(roles - {""})) or _NONE


def _internal_ip(node: Obj, _: datetime) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((str(each["address"]) for each in addresses if each.get("type") == "InternalIP"), _NONE)


def _containers(pod: Obj) -> Sequence[Obj]:
    return (pod.get("status") or {}).get("containerStatuses") or ()


def _pod_ready(pod: Obj, _: datetime) -> str:
    ready = sum(bool(status.get("ready")) for status in _containers(pod))
    return f"{ready}/{len((pod.get('spec') or {}).get('containers') or ())}"


def _pod_status(pod: Obj, _: datetime) -> str:
    status = pod.get("status") or {}
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _pod_restarts(pod: Obj, _: datetime) -> Cell:
    return sum(int(status.get("restartCount", 0)) for status in _containers(pod))


def _event_age(event: Obj, now: datetime) -> str:
    return age_of(
        event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"), now
    )


def _event_object(event: Obj, _: datetime) -> str:
    about = event.get("involvedObject") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_message(event: Obj, _: datetime) -> str:
    return str(event.get("message") or "").strip()


def _data_size(config: Obj, _: datetime) -> Cell:
    return len(config.get("data") or {}) + len(config.get("binaryData") or {})


def _wide(name: str, cell: Callable[[Obj, datetime], Cell]) -> Column:
    return Column(name, cell, wide=True)


_NAME, _AGE = Column("Name", _text_at("metadata", "name")), Column("Age", _age)
_GENERIC = (_NAME, _AGE)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Node": (
        _NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        _AGE,
        Column("Version", _text_at("status", "nodeInfo", "kubeletVersion", default="")),
        _wide("Internal-IP", _internal_ip),
        _wide("OS-Image", _text_at("status", "nodeInfo", "osImage", default=UNKNOWN)),
        _wide("Kernel-Version", _text_at("status", "nodeInfo", "kernelVersion", default=UNKNOWN)),
        _wide("Container-Runtime", _text_at("status", "nodeInfo", "containerRuntimeVersion", default=UNKNOWN)),
    ),
    "Pod": (
        _NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        _AGE,
        _wide("IP", _text_at("status", "podIP")),
        _wide("Node", _text_at("spec", "nodeName")),
    ),
    "Event": (
        Column("Last Seen", _event_age),
        Column("Type", _text_at("type", default="")),
        Column("Reason", _text_at("reason", default="")),
        Column("Object", _event_object),
        _wide("Source", _text_at("source", "component", default="")),
        Column("Message", _event_message),
        _wide("Count", _text_at("count", default="1")),
        _wide("Name", _text_at("metadata", "name")),
    ),
    "Namespace": (_NAME, Column("Status", _text_at("status", "phase", default="")), _AGE),
    "ConfigMap": (_NAME, Column("Data", _data_size), _AGE),
    "Lease": (_NAME, Column("Holder", _text_at("spec", "holderIdentity", default="")), _AGE),
}
