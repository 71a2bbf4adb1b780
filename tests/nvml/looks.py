"""A process that looks at many nodes through pynvml and one library, which it keeps for its life. `python -m tests.nvml.looks`.

Its standard input is a JSON list of jobs, its standard output a JSON list of what came of each.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gfd.__main__ import parse
from node_core.domain.inventory import Inventory
from node_core.errors import NvmlError
from node_core.host.discovery.strategy import read_gpus
from node_core.host.root import HostRoot
from node_core.runtime.process import run_program
from tests.nvml.scenario_lines import VARIABLE

ROOT = Path(__file__).parent.parent.parent
Job = Mapping[str, Any]
"""lines: the scenario file. library and host_root: for an inventory. gfd: instead, arguments of a run of gfd."""


def look_all(jobs: Sequence[Job]) -> list[Any]:
    """What came of each job, from one process that does them all."""
    command = [sys.executable, "-W", "error", "-m", "tests.nvml.looks"]
    done = subprocess.run(
        command, input=json.dumps(jobs), check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=50
    )
    answers: list[Any] = json.loads(done.stdout)
    return answers


def as_json(inventory: Inventory) -> Any:
    """An inventory for comparison; whether it is a simulated one is left out."""
    return json.loads(msgspec.json.encode(replace(inventory, simulated=False)))


def work(job: Job) -> Any:
    os.environ[VARIABLE] = job.get("lines", "")
    if "gfd" in job:
        return run_gfd(job["gfd"])
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
    answers = [work(job) for job in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)
