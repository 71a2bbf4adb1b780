"""One look at a Tegra's GPUs in a process of its own: `python -m tests.cuda.looks DRIVER_ROOT HOST_ROOT STRATEGY DEADLINE`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

from node_core.errors import NvmlError
from node_core.host.discovery.platform import may_have_gpus
from node_core.host.discovery.strategy import Strategy, read_gpus
from node_core.host.nvml.source import InventorySource
from node_core.host.root import HostRoot
from tests.nvml.looks import as_json
from tests.nvml.scenario_lines import VARIABLE as NVML_VARIABLE

VARIABLE = "GPUNODE_CUDA_SCENARIO"
ROOT = Path(__file__).parent.parent.parent


def look(
    driver_root: Path,
    host_root: Path,
    lines: Path,
    *,
    strategy: Strategy = "tegra",
    deadline: float = 20.0,
    nvml_lines: Path | None = None,
) -> Any:
    """The inventory, or what was raised. nvml_lines: of NVML's stand-in, if the driver root has one."""
    command = [sys.executable, "-m", "tests.cuda.looks", str(driver_root), str(host_root), strategy, str(deadline)]
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
        gpus_on_pci=lambda: may_have_gpus(root),
        deadline=float(deadline),
    )
    try:
        answer = as_json(source.look())
    except NvmlError as error:
        answer = {"raised": error.code, "call": error.call, "hint": error.hint}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
