"""Assigns vertical lines to columns, so that lines of one column do not touch. PURE."""

from collections.abc import Sequence

Span = tuple[float, float]
"""The upper and the lower end of a vertical line."""


def assign_columns(spans: Sequence[Span], *, gap: float) -> list[int]:
    """Returns the column of each span, from 0. Short spans get the first columns. gap: the distance between two spans of a column."""
    columns: list[list[Span]] = []
    found = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda each: (spans[each][1] - spans[each][0], spans[each])):
        top, bottom = spans[index]
        free = (at for at, taken in enumerate(columns) if all(bottom + gap <= a or b + gap <= top for a, b in taken))
        found[index] = next(free, len(columns))
        if found[index] == len(columns):
            columns.append([])
        columns[found[index]].append(spans[index])
    return found
