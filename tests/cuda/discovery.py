"""Runs one discovery of a Tegra's GPUs in a separate process: `python -m tests.cuda.discovery DRIVER_ROOT HOST_ROOT STRATEGY DEADLINE`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

from gpu_core.discovery.strategy import Strategy, read_gpus
from gpu_core.host.platform import may_have_gpus
from gpu_core.nvml.source import InventorySource
from node_core.errors import NvmlError
from node_core.host.root import HostRoot
from node_core.runtime.log import configure_log
from tests.nvml.discoveries import as_json
from tests.nvml.scenario_lines import VARIABLE as NVML_VARIABLE

VARIABLE = "GPUNODE_CUDA_SCENARIO"
ROOT = Path(__file__).parent.parent.parent


def discover(
    driver_root: Path,
    host_root: Path,
    lines: Path,
    *,
    strategy: Strategy = "tegra",
    deadline: float = 20.0,
    nvml_lines: Path | None = None,
) -> Any:
    """The inventory, or the error. nvml_lines: the scenario of the simulated NVML library, if the driver root has one."""
    command = [sys.executable, "-m", "tests.cuda.discovery", str(driver_root), str(host_root), strategy, str(deadline)]
    environment = {**os.environ, VARIABLE: str(lines), NVML_VARIABLE: str(nvml_lines or "")}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=deadline + 30
    )
    return json.loads(done.stdout)


def main(driver_root: str, host_root: str, strategy: str, deadline: str) -> None:
    root = HostRoot(Path(host_root))
    chosen: Strategy = next(each for each in get_args(Strategy) if each == strategy)
    source = InventorySource(
        lambda: read_gpus(chosen, root, Path(driver_root)),
        has_gpus=lambda: may_have_gpus(root),
        deadline=float(deadline),
    )
    try:
        result = as_json(source.discover())
    except NvmlError as error:
        result = {"raised": error.code, "call": error.call, "hint": error.hint}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    configure_log("json", "error")  # to standard error
    main(*sys.argv[1:])
