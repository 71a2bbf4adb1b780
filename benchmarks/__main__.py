"""Measures every number of docs/reference/performance.md that has a goal: `make bench`.

    sudo .venv/bin/python -m benchmarks [--quick] [--only PART] [--against KIND=COMMAND] [--folder FOLDER]

Prints a table of medians with minimum and maximum beside the goals, and writes bench.json, bench.svg and bench.txt. --quick: fewer
repetitions, in 90 seconds. bench.json is written after each part. --only: a part, repeatable. --against: see against.py, repeatable.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.against import Other, measure_other, parse_other
from benchmarks.agents import measure_rest, measure_starts
from benchmarks.calls import measure_calls
from benchmarks.cluster_agents import measure_cluster_agents
from benchmarks.exporter import measure_memory
from benchmarks.oneshot import measure_oneshot
from benchmarks.passes import measure_passes
from benchmarks.pod import Bench, open_bench
from benchmarks.reaction import measure_reactions
from benchmarks.recovery import measure_recovery
from benchmarks.report import render_text, write_results
from benchmarks.rest import measure_hour
from benchmarks.saved import describe_machine, prepare_folder, save_results


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How often each part measures. rest, hour: seconds."""

    starts: int = 15
    runs: int = 3
    rest: float = 20.0
    oneshot: int = 15
    calls: int = 1000
    passes: int = 30
    recovery: int = 10
    hour: float = 60.0
    reactions: int = 30


QUICK = Sizes(starts=1, runs=1, rest=3.0, oneshot=3, calls=100, passes=5, recovery=1, hour=5.0, reactions=1)
Part = Callable[[Bench, Sizes], Mapping[str, list[float]]]
PARTS: Mapping[str, Part] = {
    "starts": lambda bench, sizes: measure_starts(bench, sizes.starts),
    "rest": lambda bench, sizes: measure_rest(bench, sizes.runs, sizes.rest),
    "exporter": lambda bench, sizes: measure_memory(bench, sizes.runs),
    "operator": lambda bench, sizes: measure_cluster_agents(bench, sizes.runs),
    "oneshot": lambda bench, sizes: measure_oneshot(bench, sizes.oneshot),
    "calls": lambda bench, sizes: measure_calls(bench, sizes.calls),
    "recovery": lambda bench, sizes: measure_recovery(bench, sizes.recovery),
    "passes": lambda bench, sizes: measure_passes(bench, sizes.passes),
    "hour": lambda bench, sizes: measure_hour(bench, sizes.hour),
    "reactions": lambda _, sizes: measure_reactions(sizes.reactions),
}


def measure(bench: Bench, sizes: Sizes, parts: list[str], others: list[Other], file: Path) -> dict[str, object]:
    """Returns the results, and saves those of the parts that have ended."""
    machine, numbers = describe_machine(), dict[str, list[float]]()
    for name in parts:
        began = time.monotonic()
        numbers |= PARTS[name](bench, sizes)
        save_results(file, {"machine": machine, "complete": False, "numbers": numbers, "against": {}})
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    against = {
        other.kind: {
            "command": other.command,
            "numbers": measure_other(bench, other, runs=sizes.runs, calls=sizes.calls, rest=sizes.rest),
        }
        for other in others
    }
    return {"machine": machine, "complete": PARTS.keys() <= set(parts), "numbers": numbers, "against": against}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=sorted(PARTS), metavar="PART")
    parser.add_argument("--against", action="append", default=[], metavar="KIND=COMMAND")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    try:
        others = [parse_other(text) for text in options.against]
    except ValueError as error:
        parser.error(str(error))
    prepare_folder(options.folder)
    with open_bench() as bench:
        sizes, parts = QUICK if options.quick else Sizes(), options.only or list(PARTS)
        results = measure(bench, sizes, parts, others, options.folder / "bench.json")
    write_results(results, options.folder)
    print(render_text(results))
    print(f"written to {options.folder}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
