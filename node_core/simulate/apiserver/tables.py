"""Tables as kubectl prints them: `as=Table`, meta.k8s.io/v1. PURE: the caller brings the clock.

Source: Kubernetes API concepts, receiving resources as Tables; column names and cells as `kubectl get` has always shown them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node_core.simulate.apiserver.ages import UNKNOWN, age_of
from node_core.simulate.apiserver.status import Obj

Cell = str | int
_NONE = "<none>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """wide: shown with -o wide only. cell: from the object and the time now."""

    name: str
    cell: Callable[[Obj, datetime], Cell]
    wide: bool = False
    type: str = "string"

    def definition(self) -> Obj:
        form = "name" if self.name == "Name" else ""
        return {"name": self.name, "type": self.type, "format": form, "description": "", "priority": int(self.wide)}


def render_table(kind: str, items: Sequence[Obj], *, now: datetime, metadata: Obj, include: str = "Metadata") -> Obj:
    """A Table with one row an object. metadata: of the Table. include: Metadata, Object or None, what each row carries beside its cells."""
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
    if include == "None":
        return {}
    if include == "Object":
        return {"object": item}
    return {"object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}}


def _age(obj: Obj, now: datetime) -> str:
    return age_of(obj["metadata"].get("creationTimestamp"), now)


def _name(obj: Obj, _: datetime) -> str:
    return str(obj["metadata"]["name"])


def _at(*path: str, default: str = _NONE) -> Callable[[Obj, datetime], Cell]:
    def cell(obj: Obj, _: datetime) -> Cell:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return default if value is None or value == "" else str(value)

    return cell


def _node_status(node: Obj, _: datetime) -> str:
    ready = _condition(node, "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    return ",".join(words + ["SchedulingDisabled"] * bool((node.get("spec") or {}).get("unschedulable")))


def _condition(obj: Obj, name: str) -> str | None:
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == name:
            return str(condition.get("status"))
    return None


def _node_roles(node: Obj, _: datetime) -> str:
    labels, prefix = node["metadata"].get("labels") or {}, "node-role.kubernetes.io/"
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    roles |= {labels["kubernetes.io/role"]} if labels.get("kubernetes.io/role") else set()
    return ",".join(sorted(roles - {""})) or _NONE


def _node_address(kind: str) -> Callable[[Obj, datetime], Cell]:
    def cell(node: Obj, _: datetime) -> Cell:
        addresses = (node.get("status") or {}).get("addresses") or ()
        return next((str(each["address"]) for each in addresses if each.get("type") == kind), _NONE)

    return cell


def _containers(pod: Obj) -> Sequence[Obj]:
    return (pod.get("status") or {}).get("containerStatuses") or ()


def _pod_ready(pod: Obj, _: datetime) -> str:
    ready = sum(bool(status.get("ready")) for status in _containers(pod))
    return f"{ready}/{len((pod.get('spec') or {}).get('containers') or ())}"


def _pod_status(pod: Obj, _: datetime) -> str:
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Unknown"
    for container in _containers(pod):
        state = container.get("state") or {}
        ended = state.get("terminated") or {}
        reason = (state.get("waiting") or {}).get("reason") or ended.get("reason") or reason
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else str(reason)


def _pod_restarts(pod: Obj, _: datetime) -> Cell:
    return sum(int(status.get("restartCount", 0)) for status in _containers(pod))


def _pod_gates(pod: Obj, _: datetime) -> str:
    gates = (pod.get("spec") or {}).get("readinessGates") or ()
    passed = sum(_condition(pod, gate.get("conditionType", "")) == "True" for gate in gates)
    return f"{passed}/{len(gates)}" if gates else _NONE


def _event_seen(which: str) -> Callable[[Obj, datetime], Cell]:
    def cell(event: Obj, now: datetime) -> Cell:
        return age_of(event.get(which) or event.get("eventTime") or event["metadata"].get("creationTimestamp"), now)

    return cell


def _event_object(event: Obj, _: datetime) -> str:
    about = event.get("involvedObject") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_source(event: Obj, _: datetime) -> str:
    source = event.get("source") or {}
    parts = [source.get("component") or event.get("reportingComponent") or "", source.get("host") or ""]
    return ", ".join(filter(None, parts))


def _event_message(event: Obj, _: datetime) -> str:
    return str(event.get("message") or "").strip()


def _data_size(config: Obj, _: datetime) -> Cell:
    return len(config.get("data") or {}) + len(config.get("binaryData") or {})


def _event_count(event: Obj, _: datetime) -> Cell:
    return int(event.get("count") or 1)


_NAME = Column(name="Name", cell=_name)
_AGE = Column(name="Age", cell=_age)
_GENERIC = (_NAME, _AGE)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Node": (
        _NAME,
        Column(name="Status", cell=_node_status),
        Column(name="Roles", cell=_node_roles),
        _AGE,
        Column(name="Version", cell=_at("status", "nodeInfo", "kubeletVersion", default="")),
        Column(name="Internal-IP", cell=_node_address("InternalIP"), wide=True),
        Column(name="External-IP", cell=_node_address("ExternalIP"), wide=True),
        Column(name="OS-Image", cell=_at("status", "nodeInfo", "osImage", default=UNKNOWN), wide=True),
        Column(name="Kernel-Version", cell=_at("status", "nodeInfo", "kernelVersion", default=UNKNOWN), wide=True),
        Column(
            name="Container-Runtime",
            cell=_at("status", "nodeInfo", "containerRuntimeVersion", default=UNKNOWN),
            wide=True,
        ),
    ),
    "Pod": (
        _NAME,
        Column(name="Ready", cell=_pod_ready),
        Column(name="Status", cell=_pod_status),
        Column(name="Restarts", cell=_pod_restarts),
        _AGE,
        Column(name="IP", cell=_at("status", "podIP"), wide=True),
        Column(name="Node", cell=_at("spec", "nodeName"), wide=True),
        Column(name="Nominated Node", cell=_at("status", "nominatedNodeName"), wide=True),
        Column(name="Readiness Gates", cell=_pod_gates, wide=True),
    ),
    "Event": (
        Column(name="Last Seen", cell=_event_seen("lastTimestamp")),
        Column(name="Type", cell=_at("type", default="")),
        Column(name="Reason", cell=_at("reason", default="")),
        Column(name="Object", cell=_event_object),
        Column(name="Subobject", cell=_at("involvedObject", "fieldPath", default=""), wide=True),
        Column(name="Source", cell=_event_source, wide=True),
        Column(name="Message", cell=_event_message),
        Column(name="First Seen", cell=_event_seen("firstTimestamp"), wide=True),
        Column(name="Count", cell=_event_count, wide=True, type="integer"),
        Column(name="Name", cell=_name, wide=True),
    ),
    "Namespace": (_NAME, Column(name="Status", cell=_at("status", "phase", default="")), _AGE),
    "ConfigMap": (_NAME, Column(name="Data", cell=_data_size), _AGE),
    "Lease": (_NAME, Column(name="Holder", cell=_at("spec", "holderIdentity", default="")), _AGE),
}
