"""Parses dcgm-exporter's file of counters, which selects the exported fields. PURE.

Each line is `FIELD, type, help`. A line that starts with `#` is a comment. A line that cannot be used does not affect the other lines.
Source: dcgm-exporter's documentation, Metric Selection Model, and its default-counters.csv.
"""

import re
from collections.abc import Collection, Iterator
from enum import StrEnum

import msgspec

from node_core.domain.text import to_printable
from node_core.schema import suggest

MAX_PROBLEMS = 20
"""Further problems are only counted: a file of another kind can have a problem in each line."""
_NAME = re.compile("[A-Z][A-Z0-9_]{0,127}")
_SHOWN = 60


class FieldType(StrEnum):
    """The type in the file, which Prometheus gets. LABEL: the value becomes a label of all series of the device."""

    GAUGE = "gauge"
    COUNTER = "counter"
    LABEL = "label"


class CounterField(msgspec.Struct, frozen=True, kw_only=True):
    """name: a field of DCGM, `DCGM_FI_DEV_GPU_TEMP`. help: the text for Prometheus, which may be empty."""

    name: str
    type: FieldType
    help: str


class CountersFile(msgspec.Struct, frozen=True, kw_only=True):
    """fields: in the order of the file, each name once. problems: a sentence for each line that is ignored, with its number."""

    fields: tuple[CounterField, ...] = ()
    problems: tuple[str, ...] = ()


def parse_counters(text: str, known: Collection[str]) -> CountersFile:
    """Parses the file. known: the names of the fields that the exporter has. Never fails."""
    fields: dict[str, CounterField] = {}
    problems: list[str] = []
    for number, line in _lines(text):
        is_shown = len(problems) < MAX_PROBLEMS
        try:
            field = _parse_field(line, known, fields, hints=known if is_shown else ())
            fields[field.name] = field
        except ValueError as error:
            problems.append(f"line {number}: {error}" if is_shown else "")
    if not fields:
        problems.insert(0, "the file selects no field. Write one line `FIELD, type, help` for each field.")
    return CountersFile(fields=tuple(fields.values()), problems=_limit(problems))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields each line that is neither empty nor a comment, with its number from 1 up."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield number, stripped


def _parse_field(line: str, known: Collection[str], used: Collection[str], *, hints: Collection[str]) -> CounterField:
    """Raises ValueError with the problem. used: names of the lines before. hints: names to suggest for a misspelt one, which takes time."""
    name, *rest = (part.strip() for part in line.split(",", 2))
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{_show(name)} is not the name of a field. Write `FIELD, type, help`, or `#` before a comment."
        )
    if not rest:
        raise ValueError(f"{name} has no type. Write `FIELD, type, help`.")
    if rest[0] not in set(FieldType):
        raise ValueError(f"{name} has the type {_show(rest[0])}. Use one of {', '.join(FieldType)}.")
    if name not in known:
        raise ValueError(
            f"{name} is not a field of this exporter{suggest(name, hints)}. The other fields are exported."
        )
    if name in used:
        raise ValueError(f"{name} is in the file twice. The first line counts.")
    return CounterField(name=name, type=FieldType(rest[0]), help=_unquote(rest[1]) if len(rest) > 1 else "")


def _unquote(text: str) -> str:
    """Removes the quotes with which CSV encloses a text that contains commas."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if is_quoted else text


def _show(text: str) -> str:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"'{to_printable(shown)}'"


def _limit(problems: list[str]) -> tuple[str, ...]:
    left = len(problems) - MAX_PROBLEMS
    return (*problems[:MAX_PROBLEMS], *([f"{left} more lines have problems."] if left > 0 else []))
