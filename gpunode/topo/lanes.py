"""Assigns lines to lanes, so that lines of one lane do not touch. PURE."""

from collections.abc import Sequence

Span = tuple[float, float]
"""The upper and the lower end of a vertical line."""


def assign_lanes(spans: Sequence[Span], *, gap: float) -> list[int]:
    """Returns the lane of each span, from 0. Short spans get the first lanes. gap: the distance between two spans of a lane."""
    lanes: list[list[Span]] = []
    found = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda each: (spans[each][1] - spans[each][0], spans[each])):
        top, bottom = spans[index]
        free = (lane for lane, taken in enumerate(lanes) if all(bottom + gap <= a or b + gap <= top for a, b in taken))
        lane = next(free, len(lanes))
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append(spans[index])
        found[index] = lane
    return found
