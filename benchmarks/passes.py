"""The CPU time of a pass of `nfd-lite` and `gfd` after the first: discover, decide, compare. Publishes nothing.

    PYTHONPATH=. .venv/bin/python -m benchmarks.passes nfd-lite|gfd [passes] [driver root]

`make bench` runs this in its own process, so that no other thread uses CPU time. Prints the milliseconds of each pass as JSON.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.pod import ROOT, Bench
from gpu_core.assembly import Dependencies
from node_core.runtime.label_controller import LabelLoop
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from simulation.scenarios.scenario import load_scenario
from tests.nvml.scenario_lines import VARIABLE, render_lines

FIRST = 2
"""Passes that do not count: the first one, and one that fills caches."""


def build(name: str, driver: Path) -> tuple[Dependencies, LabelLoop]:
    common = CommonSettings(
        node_name="bench", kubeconfig=None, simulate="", host_root=Path("/"), oneshot=False, interval=None, address="",
        log_format="json", log_level="error", lock_dir=None,
    )  # fmt: skip
    dependencies, services = Dependencies(common, "bench", driver), Services()
    if name == "gfd":
        from gfd.agent import build_agent as build_gfd  # noqa: PLC0415
        from gfd.settings import GfdSettings  # noqa: PLC0415

        return dependencies, build_gfd(GfdSettings(publish="nothing"), dependencies, services)
    from nfd_lite.agent import build_agent as build_nfd  # noqa: PLC0415
    from nfd_lite.settings import NfdSettings  # noqa: PLC0415

    return dependencies, build_nfd(NfdSettings(publish="nothing"), dependencies, services)


def main() -> None:
    name, passes, driver = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    dependencies, agent = build(name, driver)
    times = []
    for number in range(FIRST + passes):
        dependencies.inventory.invalidate()
        began = time.process_time()
        agent.controller.collect()
        agent.controller.reconcile()
        if number >= FIRST:
            times.append(1000 * (time.process_time() - began))
    print(json.dumps(times))


def measure_passes(bench: Bench, passes: int) -> dict[str, list[float]]:
    scenario = bench.folder / "passes.lines"
    scenario.write_text(render_lines(load_scenario("h100x8")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(scenario)}
    found = {}
    for name in ("nfd-lite", "gfd"):
        command = [sys.executable, "-m", "benchmarks.passes", name, str(passes), str(bench.library)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found[f"{name} pass"] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
