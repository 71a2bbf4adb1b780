"""A process that discovers many nodes through pynvml and one loaded library. `python -m tests.nvml.discoveries`.

Standard input is a JSON list of jobs, standard output a JSON list of results.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gfd.__main__ import parse
from gpu_core.discovery.strategy import read_gpus
from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.real import open_nvml
from node_core.errors import NvmlError
from node_core.host.root import HostRoot
from node_core.runtime.log import configure_log
from node_core.runtime.process import run_program
from node_core.values import replace
from tests.nvml.exposing import expose_node
from tests.nvml.scenario_lines import VARIABLE
from tests.nvml.using import read_all_usage

ROOT = Path(__file__).parent.parent.parent
Job = Mapping[str, Any]
"""lines: the scenario file. library, host_root: for an inventory.

Instead, gfd: arguments for a run of gfd; use: the live use; exposition: the exposition of gpu-exporter.
"""


def discover_all(jobs: Sequence[Job]) -> list[Any]:
    """The result of each job, from one process that runs all jobs."""
    command = [sys.executable, "-W", "error", "-m", "tests.nvml.discoveries"]
    done = subprocess.run(
        command, input=json.dumps(jobs), check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=50
    )
    results: list[Any] = json.loads(done.stdout)
    return results


def as_json(inventory: Inventory) -> Any:
    """An inventory for comparison, without the field `simulated`."""
    return json.loads(msgspec.json.encode(replace(inventory, simulated=False)))


def work(job: Job) -> Any:
    os.environ[VARIABLE] = job.get("lines", "")
    if "gfd" in job:
        return run_gfd(job["gfd"])
    if "use" in job:
        with open_nvml(job["library"]) as nvml:
            return read_all_usage(nvml)
    if "exposition" in job:
        return expose_node(partial(open_nvml, job["library"]))
    root = HostRoot(Path(job["host_root"]))
    try:
        return as_json(read_gpus("auto", root, Path(job["library"]).parents[2]))
    except NvmlError as error:
        return {"raised": error.code, "call": error.call, "hint": error.hint}


def run_gfd(arguments: list[str]) -> dict[str, Any]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = run_program(lambda: parse(arguments), "gfd")
    return {"status": status, "labels": sorted(output.getvalue().splitlines())}


if __name__ == "__main__":
    configure_log("json", "error")  # to standard error
    results = [work(job) for job in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
