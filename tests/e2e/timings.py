"""Measured times as a table. Tests compare no times, because machines differ."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds by measurement, in the order of the first measurements."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, seconds: float) -> None:
        self.seconds.setdefault(what, []).append(seconds)


def render_timings(seconds: Mapping[str, Sequence[float]]) -> list[str]:
    """A line for each measurement: the median, and the spread of repeated measurements."""
    width = max(map(len, seconds), default=0)
    return [f"{what:{width}}  {render_spread(values)}" for what, values in seconds.items()]


def render_spread(values: Sequence[float]) -> str:
    """`  3.20 s  (2.90..4.10, 3 times)`"""
    median = f"{statistics.median(values):6.2f} s"
    return median if len(values) == 1 else f"{median}  ({min(values):.2f}..{max(values):.2f}, {len(values)} times)"
