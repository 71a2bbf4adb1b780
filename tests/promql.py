"""Parses the metrics and labels of PromQL expressions. Source: Prometheus, querying basics and operators."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*+)\s*+(\{[^{}]*\})?(?!\()")
_MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")')
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """values: the compared values of each label. The alternatives of a regular expression are separate values."""

    metric: str
    values: dict[str, tuple[str, ...]]


def selectors(expression: str) -> Iterator[Selector]:
    """Yields every metric of an expression. A name before a parenthesis is a function."""
    strings: list[str] = []

    def hide(match: re.Match[str]) -> str:
        strings.append(match[0])
        return f'"{len(strings) - 1}"'

    bare = _RANGE.sub(" ", _GROUPING.sub(" ", _STRING.sub(hide, expression)))
    for name, matchers in _SELECTOR.findall(bare):
        if name not in _WORDS:
            yield Selector(
                metric=name,
                values={
                    label: _alternatives(operator, strings[int(index.strip('"'))])
                    for label, operator, index in _MATCHER.findall(matchers)
                },
            )


def grouping_labels(expression: str) -> set[str]:
    found = (label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(","))
    return {label for label in found if label}


def _alternatives(operator: str, quoted: str) -> tuple[str, ...]:
    value = quoted[1:-1]
    return tuple(value.split("|")) if "~" in operator else (value,)
