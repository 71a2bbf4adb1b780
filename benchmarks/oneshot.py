"""The duration of `gfd --oneshot` and `nfd-lite --oneshot`, which print the labels and end."""

import time
from collections.abc import Sequence

from benchmarks.pod import Bench, Stage, open_stage

MODULES = {"gfd": ("gfd",), "nfd-lite": ("nfd_lite",)}


def run_once(
    stage: Stage, words: Sequence[str], program: Sequence[str] | None = None, variables: dict[str, str] | None = None
) -> float:
    """Returns the milliseconds from the start of the process to its end."""
    process = stage.prepare(words, program=program, variables=variables)
    began = process.begin()
    assert process.popen.stdout is not None
    process.popen.stdout.read()
    status = process.popen.wait()
    taken = 1000 * (time.perf_counter() - began)
    if status:
        raise SystemExit(f"{words or program} ended with status {status}:\n{process.log.read_text()[-3000:]}")
    return taken


def measure_oneshot(bench: Bench, runs: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    with open_stage(bench) as stage:
        for _ in range(runs):
            for title, module in MODULES.items():
                words = stage.flags(module, "--oneshot", "--publish", "stdout")
                found.setdefault(f"oneshot {title}", []).append(run_once(stage, words))
    return found
