"""Converts the values of one chart by its table. Values that depend on each other are converted by rules.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpunode.migrate.correspondence import Correspondence
from gpunode.migrate.draft import Draft
from gpunode.migrate.source import Source, unknown_paths, with_nearest
from node_core.decode import Cursor

SWITCHES = ("enabled", "enable")
MAX_UNKNOWN = 20
"""The number of unknown values that the report names."""
SHOWN = 3
"""If more values of a section have no counterpart, the report names the section."""


def convert_source(source: Source, draft: Draft) -> None:
    """Adds the values of a chart to the draft, and what has no counterpart to its lists."""
    for row in source.chart.rows:
        _convert(source, row, draft)
    unknown = [*unknown_paths(source.values, source.chart.rows)]
    names = [source.path(with_nearest(each, source.chart.rows)) for each in unknown[:MAX_UNKNOWN]]
    more = len(unknown) - len(names)
    for name in [*names, f"{more} more"] if more else names:
        draft.advise(name, f"is not a value of {source.shown}.")


def is_off(source: Source, path: str) -> bool:
    """Whether a section that contains the value is switched off. A switch itself is not in its section."""
    *sections, last = path.split(".")
    if last in SWITCHES:
        sections = sections[:-1]
    prefixes = (".".join(sections[: end + 1]) for end in range(len(sections)))
    return any(_is_off(source.at(each)) for each in prefixes)


def _is_off(section: Any) -> bool:
    return isinstance(section, Mapping) and any(section.get(each) is False for each in SWITCHES)


def _convert(source: Source, row: Correspondence, draft: Draft) -> None:
    if is_off(source, row.path) or not _has_parents(source, row.path, draft):
        return
    value, path = source.at(row.path), source.path(row.path)
    is_empty = value is None or value in ("", [], {})
    if row.to is None:
        for each in () if row.has_rule else _without_counterpart(source, row):
            (draft.advise if row.needs_action else draft.drop)(source.path(each), row.why)
    elif row.has_rule:
        _check(None if is_empty else value, row, path, draft)
    elif not is_empty:
        _move(value, row, row.to, path, draft)
    elif (
        row.is_replaced_by_empty and _contains(source, row.path) and (value is None or _check(value, row, path, draft))
    ):
        draft.add(row.to, value, path)


def _move(value: Any, row: Correspondence, to: str, path: str, draft: Draft) -> None:
    if row.convert is not None:
        value = row.convert(value, lambda sentence: draft.advise(path, sentence))
    if _check(value, row, path, draft):
        draft.add(to, value, path)


def _check(value: Any, row: Correspondence, path: str, draft: Draft) -> bool:
    """Reports each part of a value that is not of the type in the table. Returns whether there is a value, and it is of the type."""
    if value is None:
        return False
    cursor = Cursor(value=value, path=path)
    cursor.check(row.kind)
    draft.refusals += [each for each in cursor.problems if each not in draft.refusals]
    return not cursor.problems


def _has_parents(source: Source, path: str, draft: Draft) -> bool:
    """Whether all sections of a path are mappings. Reports one that is another value."""
    *sections, _ = path.split(".")
    for end in range(len(sections)):
        section = ".".join(sections[: end + 1])
        value = source.at(section)
        if value is None:
            return False
        if not isinstance(value, Mapping):
            cursor = Cursor(value=value, path=source.path(section))
            cursor.mapping()
            draft.refusals += [each for each in cursor.problems if each not in draft.refusals]
            return False
    return True


def _contains(source: Source, path: str) -> bool:
    section, _, last = path.rpartition(".")
    found = source.at(section) if section else source.values
    return isinstance(found, Mapping) and last in found


def _without_counterpart(source: Source, row: Correspondence) -> Iterator[str]:
    """Yields the paths to report for a row without counterpart: the path, or the values of the section that no other row is about."""
    below = {each.path for each in source.chart.rows if each.path.startswith(f"{row.path}.")}
    value = source.at(row.path)
    if not below or not isinstance(value, Mapping):
        yield from [row.path] if _is_set(value) else []
        return
    rest = [*_rest(value, row.path, below)]
    yield from rest if len(rest) <= SHOWN else [row.path]


def _rest(section: Mapping[str, Any], path: str, rows: set[str]) -> Iterator[str]:
    if _is_off(section):
        return
    for key, value in section.items():
        each = f"{path}.{key}"
        if any(row.startswith(f"{each}.") for row in rows) and each not in rows and isinstance(value, Mapping):
            yield from _rest(value, each, rows)
        elif each not in rows and key not in SWITCHES and _is_set(value):
            yield each


def _is_set(value: Any) -> bool:
    """Whether a value is neither empty nor a section that contains only empty values or is switched off."""
    if isinstance(value, Mapping):
        return not _is_off(value) and any(map(_is_set, value.values()))
    return bool(value)
