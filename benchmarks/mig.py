"""The time to plan MIG layouts of a node with eight GPUs.

    .venv/bin/python -m benchmarks.mig [runs]

Prints medians with minimum and maximum, in milliseconds of CPU time, for all eight GPUs together. Other load does not count.
"""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import ComputeInstance, GpuInstance, MigGpu
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.errors import MigError
from node_core.values import replace
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import load_scenario

NODE = "h100x8"
SMALL = {"1g.10gb": 7}
BALANCED = {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}
SIZES = {"1g.10gb": 2, "1g.10gb+me": 1, "1g.20gb": 1, "2g.20gb": 1}
PARTS = {"1c.3g.40gb": 2, "2c.3g.40gb": 1, "1c.4g.40gb": 2}
TOO_MANY = dict.fromkeys(("1g.10gb", "1g.10gb+me", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"), 7)

CHANGES: Mapping[str, tuple[Mapping[str, int], Mapping[str, int], int]] = {
    "no GPU instances, balanced": ({}, BALANCED, 0),
    "seven 1g, the same": (SMALL, SMALL, 0),
    "seven 1g, balanced": (SMALL, BALANCED, 0),
    "seven 1g of which three are busy, balanced": (SMALL, BALANCED, 3),
    "seven 1g, five devices of four sizes": (SMALL, SIZES, 0),
    "balanced, five devices of four sizes": (BALANCED, SIZES, 2),
    "seven 1g, devices that share GPU instances": (SMALL, PARTS, 0),
    "seven 1g, seven devices of each profile: an error": (SMALL, TOO_MANY, 0),
}
"""Name -> the present devices of each GPU, the requested ones, and the number of busy ones."""


def empty_gpus() -> Sequence[MigGpu]:
    with simulated_nvml(load_scenario(NODE), lambda: 0.0)() as nvml:
        gpus, _ = read_mig_gpus(nvml)
    return [replace(gpu, is_enabled=True, is_pending=True) for gpu in gpus]


def divide(gpu: MigGpu, devices: Mapping[str, int]) -> MigGpu:
    """Returns the GPU with the planned layout."""
    created = plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=devices)).create
    instances = (
        GpuInstance(
            id=number,
            profile=new.profile,
            placement=new.placement,
            compute=tuple(
                ComputeInstance(id=index, profile=profile, uuid=MigUuid(f"MIG-{gpu.index}-{number}-{index}"))
                for index, profile in enumerate(new.compute)
            ),
        )
        for number, new in enumerate(created)
    )
    return replace(gpu, instances=tuple(instances))


def milliseconds(gpus: Sequence[MigGpu], devices: Mapping[str, int], busy: frozenset[MigUuid]) -> float:
    start = time.thread_time()
    for gpu in gpus:
        try:
            plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=devices), busy)
        except MigError:
            continue
    return (time.thread_time() - start) * 1000


def measure_planner(runs: int) -> None:
    for name, (present, requested, busy_count) in CHANGES.items():
        gpus = [divide(gpu, present) for gpu in empty_gpus()]
        busy = frozenset(MigUuid(f"MIG-{gpu.index}-{number}-0") for gpu in gpus for number in range(busy_count))
        times = [milliseconds(gpus, requested, busy) for _ in range(runs)]
        print(f"{name:52} {statistics.median(times):7.3f} ms ({min(times):.3f}..{max(times):.3f})")


def main() -> None:
    measure_planner(int(sys.argv[1]) if len(sys.argv) > 1 else 100)


if __name__ == "__main__":
    main()
