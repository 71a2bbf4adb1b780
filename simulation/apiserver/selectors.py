"""Label and field selectors. PURE. Source: Kubernetes documentation, Labels and Selectors, Field Selectors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_core.domain.label_selector import LabelRequirement, parse_label_selector
from simulation.apiserver.status import bad_request

_COMMON_FIELDS = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "Node": ("spec.unschedulable",),
    "Pod": ("spec.nodeName", "spec.schedulerName", "status.phase"),
    "ResourceSlice": ("spec.driver", "spec.nodeName"),
    "Event": (
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")),
        *("reason", "reportingComponent", "source", "type"),
    ),
}
"""The fields of field selectors by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRequirement:
    path: str
    value: str
    equal: bool

    def matches(self, obj: Mapping[str, Any]) -> bool:
        return (_field(obj, self.path) == self.value) is self.equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The label and field requirements of a request. An empty Selection matches all objects."""

    labels: tuple[LabelRequirement, ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(need.matches(labels) for need in self.labels) and all(need.matches(obj) for need in self.fields)


def parse_selection(kind: str, *, labels: str = "", fields: str = "") -> Selection:
    """Parses the labelSelector and the fieldSelector of a query. Raises ApiError 400."""
    try:
        requirements = parse_label_selector(labels)
    except ValueError as error:
        raise bad_request(f"unable to parse requirement: {error}") from error
    return Selection(labels=requirements, fields=_parse_fields(kind, fields))


def _parse_fields(kind: str, text: str) -> tuple[FieldRequirement, ...]:
    return tuple(_parse_field(kind, part) for part in text.split(",") if part)


def _parse_field(kind: str, text: str) -> FieldRequirement:
    match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text)
    if match is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    if match[1] not in (*_COMMON_FIELDS, *_FIELDS.get(kind, ())):
        raise bad_request(f"field label not supported: {match[1]}")
    return FieldRequirement(path=match[1], value=match[3], equal=match[2] != "!=")


def _field(obj: Mapping[str, Any], path: str) -> str:
    value: Any = obj
    for name in ("source", "component") if path == "source" else path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        return "false" if path == "spec.unschedulable" else ""
    return str(value).lower() if isinstance(value, bool) else str(value)
