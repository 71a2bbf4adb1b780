"""The results of `make bench`: as a table, as JSON, and as a plot of each median as a part of its goal. PURE, except `write_results`."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import NUMBERS, SECTIONS, Number, Samples, is_met, percentile, round_value, spread
from benchmarks.plot import Bar, render_bars
from benchmarks.saved import save_results

Results = Mapping[str, Any]
"""machine: facts of the machine. numbers: Samples. against: kind -> command and numbers. JSON has the same shape."""
VERDICTS = {True: "met", False: "**missed**", None: ""}


def samples_of(results: Results) -> Samples:
    samples: Samples = results["numbers"]
    return samples


def rows_of(numbers: Iterable[Number], samples: Samples) -> Iterator[tuple[str, str, str, str]]:
    """Yields title, measured values, goal and verdict of the measured numbers."""
    for number in numbers:
        if values := samples.get(number.key):
            yield number.title, describe_values(number, values), describe_goal(number), VERDICTS[is_met(number, values)]


def describe_values(number: Number, values: Sequence[float]) -> str:
    unit = f" {number.unit}" if number.unit else ""
    highest = f", p99 {round_value(percentile(values, 0.99))}" if number.worst and len(values) > 1 else ""
    return f"{spread(values)}{highest}{unit}"


def describe_goal(number: Number) -> str:
    if number.goal is None:
        return ""
    unit = f" {number.unit}" if number.unit else ""
    return f"{'p99 ' if number.worst and number.goal else ''}≤ {round_value(number.goal)}{unit}"


def ratio_rows(results: Results) -> Iterator[tuple[str, str, str, str]]:
    """Yields title, our values, theirs, and our median divided by theirs."""
    ours = samples_of(results)
    for kind, other in results["against"].items():
        for key, values in other["numbers"].items():
            if key in ours:
                ratio = statistics.median(ours[key]) / statistics.median(values)
                title = NUMBERS[key].title if key in NUMBERS else key
                yield f"{title} ({kind})", spread(ours[key]), spread(values), round_value(ratio)


def render_text(results: Results) -> str:
    """Returns the table for a terminal."""
    lines = []
    for title, numbers in SECTIONS.items():
        if rows := list(rows_of(numbers, samples_of(results))):
            lines += [title, *(_render_row(row, (60, 34, 14, 0)) for row in rows), ""]
    if ratios := list(ratio_rows(results)):
        lines += [_render_row(("ours / theirs", "ours", "theirs", "ratio"), (60, 28, 28, 0))]
        lines += [_render_row(row, (60, 28, 28, 0)) for row in ratios]
    return "\n".join(lines)


def _render_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    plain = (cell.replace("`", "").replace("*", "") for cell in cells)
    return "  " + " ".join(f"{cell:{width or ''}}" for cell, width in zip(plain, widths, strict=True)).rstrip()


def render_plot(results: Results) -> str:
    """Returns an SVG: each number with a goal as a part of this goal."""
    bars = []
    for number in NUMBERS.values():
        values = samples_of(results).get(number.key)
        if number.goal and values:
            middle = percentile(values, 0.99) if number.worst else statistics.median(values)
            part, low, high = middle / number.goal, min(values) / number.goal, max(values) / number.goal
            label = number.title.replace("`", "")
            shown = f"{round_value(middle)} of {round_value(number.goal)} {number.unit}"
            bars.append(Bar(label=label, value=part, low=low, high=high, text=shown))
    return render_bars("Each number as a part of its goal (line: minimum to maximum)", bars)


def write_results(results: Results, folder: Path) -> None:
    save_results(folder / "bench.json", results)
    (folder / "bench.svg").write_text(render_plot(results))
    (folder / "bench.txt").write_text(render_text(results) + "\n")
