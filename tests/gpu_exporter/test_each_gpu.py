"""The discovery of the other GPUs while the driver hangs for some."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.bounded_call import DRIVER_HANGS
from gpu_exporter.each_gpu import EachGpu
from node_core.errors import NvmlError
from simulation.nvml.library import changing_nvml
from simulation.scenarios.scenario import Scenario
from tests.gpu_exporter.readings import inventory_of, scenario
from tests.gpu_exporter.test_gpu_thread import nap
from tests.waiting import until

ALL = inventory_of(scenario())


class Bench:
    """A node whose time the test sets. code: of the error of the discovery of all GPUs; None if it succeeds."""

    def __init__(self, node: Scenario, code: str | None = "TIMEOUT") -> None:
        self.node, self.now, self.code = node, 0.0, code
        self.opened = 0
        self.each = EachGpu(self.discover_all, self.open, simulated=True, deadline=2.0)

    def discover_all(self) -> Inventory:
        if self.code is not None:
            raise NvmlError("NVML", self.code)
        return ALL

    @contextmanager
    def open(self) -> Iterator[Nvml]:
        self.opened += 1
        with changing_nvml(lambda: self.node, lambda: self.now, nap)() as nvml:
            yield nvml

    def found(self) -> list[int]:
        return [gpu.index for gpu in self.each.discover().gpus]


def hang(call: str = "nvmlDeviceGetName", **more: object) -> dict[str, object]:
    return {"at": 0, "for": 9, "kind": "hang", "call": call, **more}


def test_a_discovery_that_succeeds_is_the_result() -> None:
    bench = Bench(scenario(), None)
    assert bench.each.discover() is ALL
    assert bench.opened == 0


def test_another_error_is_raised() -> None:
    bench = Bench(scenario(), "UNKNOWN")
    with pytest.raises(NvmlError, match="UNKNOWN"):
        bench.each.discover()
    assert bench.opened == 0


@pytest.mark.parametrize("call", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName", "nvmlDeviceGetRemappedRows"])
def test_a_gpu_that_hangs_is_a_fault_and_does_not_hide_the_others(call: str) -> None:
    bench = Bench(scenario(hang(call, gpu=1)))
    found = bench.each.discover()
    assert [gpu.index for gpu in found.gpus] == [0, 2]
    assert [(fault.index, fault.uuid, fault.reason) for fault in found.faults] == [(1, None, DRIVER_HANGS)]
    assert [state.gpu for state in found.states] == [gpu.uuid for gpu in found.gpus]
    assert (found.driver, found.platform, found.simulated) == (ALL.driver, ALL.platform, True)
    bench.now = 9


def test_without_hanging_calls_the_gpus_are_those_of_the_discovery_of_all() -> None:
    found = Bench(scenario()).each.discover()
    assert [gpu.mig_devices for gpu in found.gpus] == [gpu.mig_devices for gpu in ALL.gpus]
    assert [(gpu.uuid, gpu.address, gpu.model) for gpu in found.gpus] == (
        [(gpu.uuid, gpu.address, gpu.model) for gpu in ALL.gpus]
    )
    assert found.faults == ()


def test_a_gpu_that_hangs_has_one_thread_and_returns() -> None:
    bench = Bench(scenario(hang(gpu=1)))
    with capture_logs() as logs:
        assert bench.found() == bench.found() == [0, 2]
        assert bench.opened == 2 + 3 + 2, "twice for the count, and not again for the GPU that hangs"
        bench.now = 9
        until(lambda: bench.found() == [0, 1, 2])
        bench.code = None
        bench.found()
    assert [(each["event"], each["gpus"]) for each in logs] == [
        ("gpus_hang", ["GPU 1"]),
        ("gpus_respond_again", ["GPU 1"]),
    ]


def test_if_all_gpus_hang_each_one_is_a_fault() -> None:
    bench = Bench(scenario(hang()))
    found = bench.each.discover()
    assert ([gpu.index for gpu in found.gpus], [fault.index for fault in found.faults]) == ([], [0, 1, 2])
    bench.now = 9


def test_a_lost_gpu_is_a_fault_with_its_reason() -> None:
    bench = Bench(scenario(hang(gpu=0), {"at": 0, "gpu": 2, "kind": "lost"}))
    found = bench.each.discover()
    assert [gpu.index for gpu in found.gpus] == [1]
    assert [(fault.index, "GPU_IS_LOST" in fault.reason) for fault in found.faults] == [(0, False), (2, True)]
    bench.now = 9


def test_a_hanging_number_of_gpus_is_an_error() -> None:
    bench = Bench(scenario(hang("nvmlDeviceGetCount")))
    with pytest.raises(NvmlError, match="TIMEOUT"):
        bench.each.discover()
    assert not bench.each.release()
    bench.now = 9
    until(bench.each.release)


def test_after_a_release_no_session_opens_until_the_acquisition() -> None:
    bench = Bench(scenario(hang(gpu=1)))
    bench.found()
    assert not bench.each.release(), "the call that hangs has a session"
    opened = bench.opened
    with pytest.raises(NvmlError, match="RELEASED"):
        bench.each.discover()
    bench.now = 9
    until(bench.each.release)
    assert bench.opened == opened
    bench.each.acquire()
    assert bench.found() == [0, 1, 2]
