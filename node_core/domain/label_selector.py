"""Label selectors. PURE. Source: Kubernetes documentation, Labels and Selectors."""

import re
from collections.abc import Mapping

import msgspec

from node_core.domain.labels import key_problem, value_problem

_SET = re.compile(r"\s*(\S+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s=!<>]+)\s*(==|=|!=|>|<)\s*([^\s=!<>]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s=!(),<>]+)\s*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_OPERATORS = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}
_COMMA = re.compile(r",(?![^()]*\))")


class LabelRequirement(msgspec.Struct, frozen=True, kw_only=True):
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


def parse_label_selector(text: str) -> tuple[LabelRequirement, ...]:
    """Parses a selector such as `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`. Raises ValueError with the reason."""
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
        raise ValueError(f"{text!r} is not a label requirement")
    problem = key_problem(requirement.key) or next(filter(None, map(value_problem, sorted(requirement.values))), None)
    if problem:
        raise ValueError(f"{requirement.key!r}: {problem}")
    if requirement.operator in ("Gt", "Lt") and None in map(_parse_integer, requirement.values):
        raise ValueError("for 'Gt', 'Lt' operators, the value must be an integer")
    return requirement


def _parse_integer(text: str) -> int | None:
    """Returns a 64-bit integer; None for any other text."""
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and -(1 << 63) <= number < 1 << 63 else None
