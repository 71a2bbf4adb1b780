"""Label and field selectors. PURE. Source: Kubernetes documentation, Labels and Selectors, Field Selectors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node_core.domain.labels import key_problem, value_problem
from simulation.apiserver.status import bad_request

_SET = re.compile(r"\s*(\S+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s=!<>]+)\s*(==|=|!=|>|<)\s*([^\s=!<>]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s=!(),<>]+)\s*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_OPERATORS = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}
_COMMA = re.compile(r",(?![^()]*\))")

_COMMON_FIELDS = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "Node": ("spec.unschedulable",),
    "Pod": ("spec.nodeName", "spec.schedulerName", "status.phase"),
    "Event": (
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")),
        *("reason", "reportingComponent", "source", "type"),
    ),
}
"""The fields of field selectors by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequirement:
    """operator: In, NotIn, Exists, DoesNotExist, Gt or Lt. NotIn also matches an object without the label.

    Gt and Lt have one value, and match labels that are 64-bit integers.
    """

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.operator in ("In", "Exists"):
            return self.key in labels and (self.operator == "Exists" or labels[self.key] in self.values)
        if self.operator in ("Gt", "Lt"):
            number, bound = (_parse_integer(text) for text in (labels.get(self.key, ""), *self.values))
            if number is None or bound is None:
                return False
            return number > bound if self.operator == "Gt" else number < bound
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
    """The label and field requirements of a request. An empty Selection matches all objects."""

    labels: tuple[LabelRequirement, ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(need.matches(labels) for need in self.labels) and all(need.matches(obj) for need in self.fields)


def parse_selection(kind: str, *, labels: str = "", fields: str = "") -> Selection:
    """Parses the labelSelector and the fieldSelector of a query. Raises ApiError 400."""
    return Selection(labels=parse_label_selector(labels), fields=_parse_fields(kind, fields))


def parse_label_selector(text: str) -> tuple[LabelRequirement, ...]:
    """Parses a selector such as `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`. Raises ApiError 400."""
    return tuple(map(_parse_requirement, _COMMA.split(text))) if text.strip() else ()


def _parse_requirement(text: str) -> LabelRequirement:
    if match := _SET.fullmatch(text):
        key, word, inside = match.groups()
        values = frozenset(value.strip() for value in inside.split(","))
        requirement = LabelRequirement(key=key, operator="In" if word == "in" else "NotIn", values=values)
    elif match := _EQUAL.fullmatch(text):
        key, sign, value = match.groups()
        requirement = LabelRequirement(key=key, operator=_OPERATORS[sign], values=frozenset([value]))
    elif match := _EXISTS.fullmatch(text):
        requirement = LabelRequirement(key=match[2], operator="DoesNotExist" if match[1] else "Exists")
    else:
        raise bad_request(f"unable to parse requirement: {text!r} is not a label requirement")
    problem = key_problem(requirement.key) or next(filter(None, map(value_problem, sorted(requirement.values))), None)
    if problem:
        raise bad_request(f"unable to parse requirement: {requirement.key!r}: {problem}")
    if requirement.operator in ("Gt", "Lt") and None in map(_parse_integer, requirement.values):
        raise bad_request("unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer")
    return requirement


def _parse_integer(text: str) -> int | None:
    """Returns a 64-bit integer; None for any other text."""
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and -(1 << 63) <= number < 1 << 63 else None


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
