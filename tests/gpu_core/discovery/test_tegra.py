"""Discovery through CUDA, with a fake of the CUDA driver API. tests/cuda has a C library."""

from dataclasses import dataclass, field

import pytest

from gpu_core.discovery.tegra import read_tegra
from gpu_core.domain.inventory import ComputeCapability, CudaVersion, Platform
from node_core.errors import NvmlError


@dataclass
class FakeCuda:
    """errors: call -> code."""

    count: int = 1
    errors: dict[str, str] = field(default_factory=dict)

    def _check(self, call: str) -> None:
        if call in self.errors:
            raise NvmlError(call, self.errors[call])

    def driver_get_version(self) -> int:
        self._check("version")
        return 12060

    def device_get_count(self) -> int:
        self._check("count")
        return self.count

    def device_get_name(self, index: int) -> str:
        self._check(f"name{index}")
        return "Orin (nvgpu)"

    def device_compute_capability(self, index: int) -> tuple[int, int]:
        self._check("compute")
        return 8, 7

    def device_total_mem(self, index: int) -> int:
        self._check("memory")
        return 8 << 30


def test_a_gpu_has_the_values_of_cuda() -> None:
    inventory = read_tegra(FakeCuda())
    (gpu,) = inventory.gpus
    assert (gpu.uuid, gpu.model, gpu.memory_bytes) == ("tegra-0", "Orin (nvgpu)", 8 << 30)
    assert gpu.compute == ComputeCapability(major=8, minor=7)
    assert inventory.driver is not None
    assert (inventory.driver.cuda, inventory.platform) == (CudaVersion(major=12, minor=6), Platform.TEGRA)


def test_unsupported_values_are_none() -> None:
    missing = dict.fromkeys(("version", "compute", "memory"), "FUNCTION_NOT_FOUND")
    inventory = read_tegra(FakeCuda(errors=missing))
    assert (inventory.gpus[0].compute, inventory.gpus[0].memory_bytes) == (None, None)
    assert inventory.driver is not None
    assert inventory.driver.cuda is None


def test_an_unreadable_gpu_is_a_fault_and_does_not_affect_others() -> None:
    inventory = read_tegra(FakeCuda(count=2, errors={"name0": "UNKNOWN"}))
    assert [gpu.index for gpu in inventory.gpus] == [1]
    assert [(fault.index, fault.uuid) for fault in inventory.faults] == [(0, "tegra-0")]


def test_without_a_count_there_is_an_error_and_without_gpus_a_reason() -> None:
    with pytest.raises(NvmlError):
        read_tegra(FakeCuda(errors={"count": "NOT_INITIALIZED"}))
    assert read_tegra(FakeCuda(count=0)).why_empty == "CUDA reports no GPU"
