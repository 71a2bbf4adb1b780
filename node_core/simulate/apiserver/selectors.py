"""Label and field selectors. PURE. Source: Kubernetes documentation, Labels and Selectors, Field Selectors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_core.domain.labels import key_problem, value_problem
from node_core.simulate.apiserver.status import bad_request

_SET = re.compile(r"\s*(\S+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s=!(),]+)\s*")
_COMMA = re.compile(r",(?![^()]*\))")

_EVERYWHERE = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "Node": ("spec.unschedulable",),
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "Event": (
        *(
            f"involvedObject.{name}"
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        ),
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Namespace": ("status.phase",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequirement:
    """operator: In, NotIn, Exists or DoesNotExist. NotIn also matches where the label is missing."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.operator in ("In", "Exists"):
            return self.key in labels and (self.operator == "Exists" or labels[self.key] in self.values)
        return self.key not in labels or (self.operator == "NotIn" and labels[self.key] not in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRequirement:
    path: str
    value: str
    equal: bool

    def matches(self, obj: Mapping[str, Any]) -> bool:
        return (_field(obj, self.path) == self.value) is self.equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which objects of a resource are asked for. Empty: all."""

    labels: tuple[LabelRequirement, ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(need.matches(labels) for need in self.labels) and all(need.matches(obj) for need in self.fields)


def parse_selection(kind: str, *, labels: str = "", fields: str = "") -> Selection:
    """labelSelector and fieldSelector as the query gives them. Raises ApiError 400."""
    return Selection(labels=parse_label_selector(labels), fields=_parse_fields(kind, fields))


def parse_label_selector(text: str) -> tuple[LabelRequirement, ...]:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k`. Raises ApiError 400."""
    return tuple(map(_parse_requirement, _COMMA.split(text))) if text.strip() else ()


def _parse_requirement(text: str) -> LabelRequirement:
    if match := _SET.fullmatch(text):
        key, word, inside = match.groups()
        values = frozenset(value.strip() for value in inside.split(","))
        requirement = LabelRequirement(key=key, operator="In" if word == "in" else "NotIn", values=values)
    elif match := _EQUAL.fullmatch(text):
        key, sign, value = match.groups()
        requirement = LabelRequirement(key=key, operator="NotIn" if sign == "!=" else "In", values=frozenset([value]))
    elif match := _EXISTS.fullmatch(text):
        requirement = LabelRequirement(key=match[2], operator="DoesNotExist" if match[1] else "Exists")
    else:
        raise bad_request(f"unable to parse requirement: {text!r} is not a label requirement")
    problem = key_problem(requirement.key) or next(filter(None, map(value_problem, sorted(requirement.values))), None)
    if problem:
        raise bad_request(f"unable to parse requirement: {requirement.key!r}: {problem}")
    return requirement


def _parse_fields(kind: str, text: str) -> tuple[FieldRequirement, ...]:
    return tuple(_parse_field(kind, part) for part in text.split(",") if part)


def _parse_field(kind: str, text: str) -> FieldRequirement:
    match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text)
    if match is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    if match[1] not in (*_EVERYWHERE, *_FIELDS.get(kind, ())):
        raise bad_request(f"field label not supported: {match[1]}")
    return FieldRequirement(path=match[1], value=match[3], equal=match[2] != "!=")


def _field(obj: Mapping[str, Any], path: str) -> str:
    value: Any = obj
    for name in ("source", "component") if path == "source" else path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value).lower() if isinstance(value, bool) else str(value)
