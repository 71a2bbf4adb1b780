"""Scenarios of GPUs in use, and NVML that counts its calls."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.nvml.api import FUNCTIONS, Nvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.pods.cgroups import ProcessFacts
from gpu_exporter.fields import FIELDS, Field
from gpu_exporter.reader import Clocks, GpuReader, ReadingPlan
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario

H100 = {"model": "NVIDIA H100 80GB HBM3", "memory": "81559Mi", "compute": "9.0", "device_id": "2330", "count": 1}
T4 = {"model": "Tesla T4", "memory": "15360Mi", "compute": "7.5", "device_id": "1eb8", "count": 1}
MIG = {"mode": "enabled", "instances": ["3g.40gb", "1g.10gb", "1c.2g.20gb"]}
USE = {
    "gpu": 87,
    "memory": 40,
    "tensor": 33.5,
    "dram": 12.5,
    "power": 512.25,
    "temperature": 61,
    "memory_temperature": 72,
    "pcie_tx": 1200,
    "nvlink_tx": 10,
    "processes": [{"pid": 4242, "memory": "10Gi", "sm": 35}, {"pid": 7, "memory": "1Gi", "sm": 2}],
}
MIG_USE = {**USE, "processes": [{"pid": 10, "memory": "5Gi", "mig": 0}, {"pid": 11, "memory": "2Gi", "mig": 1}]}


def scenario(*faults: Mapping[str, object], gpus: Iterable[Mapping[str, object]] = (), **more: object) -> Scenario:
    """Without `gpus`: a busy H100, an H100 with MIG devices, and a T4."""
    boards = list(gpus) or [
        {**H100, "mig": {"mode": "disabled"}, "use": USE},
        {**H100, "mig": MIG, "use": MIG_USE},
        T4,
    ]
    document = {"driver": {"version": "570.1"}, "gpus": boards, "faults": list(faults), **more}
    return parse_scenario("use", document, source="test")


def linked(*faults: Mapping[str, object]) -> Scenario:
    return scenario(*faults, gpus=[{**H100, "mig": {"mode": "disabled"}, "use": USE}], nvlink={"nvswitch": True})


class Counting:
    """NVML that counts the calls of each function."""

    def __init__(self, nvml: Any) -> None:
        self._nvml, self.calls = nvml, Counter[str]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            self.calls[FUNCTIONS[name]] += 1
            return getattr(self._nvml, name)(*arguments)

        return call


def inventory_of(node: Scenario, now: float = 0.0) -> Inventory:
    return read_inventory(simulated_nvml(node, lambda: now), numa_of(node), simulated=True)


class Node:
    """One session of a simulated node, whose time the test sets. calls: since the last `count`."""

    def __init__(self, node: Scenario, fields: tuple[Field, ...] = FIELDS, *, with_processes: bool = True) -> None:
        self.now = 1000.0
        self.scenario = node
        self._session = simulated_nvml(node, lambda: self.now)()
        self.nvml: Any = Counting(self._session.__enter__())
        clocks = Clocks(monotonic=lambda: self.now, wall=lambda: self.now + 1e9, boot=lambda: self.now + 50)
        self.plan = ReadingPlan(fields=fields, with_processes=with_processes, read_facts=self.facts, clocks=clocks)
        self.asked: list[set[int]] = []

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        self.asked.append(set(pids))
        return {pid: ProcessFacts(started=1.0) for pid in self.asked[-1]}

    def gpu(self, index: int) -> Gpu:
        gpus = inventory_of(self.scenario.without_faults()).gpus
        return next(gpu for gpu in gpus if gpu.index == index)

    def reader(self, index: int = 0) -> GpuReader:
        nvml: Nvml = self.nvml
        return GpuReader(nvml, self.gpu(index), self.plan)

    def count(self) -> dict[str, int]:
        """Returns the calls since the last count."""
        calls, self.nvml.calls = dict(self.nvml.calls), Counter()
        return calls
