"""Reading the live use of a GPU: a failed query affects only its own value, and a lost GPU gets no further queries."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from gpu_core.domain.inventory import Gpu
from gpu_core.domain.usage import GpuUsage
from gpu_core.nvml.api import FUNCTIONS
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.usage import SampleReader, read_usage
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario

BOARD = {"model": "NVIDIA A100-SXM4-40GB", "count": 1, "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
PROCESSES = [{"pid": 5, "memory": "1Gi", "sm": 30}, {"pid": 6, "memory": "2Gi", "sm": 40}]


def scenario(*faults: dict[str, object], **more: object) -> Scenario:
    gpus = [{**BOARD, "use": {"gpu": 60, "power": 250, "processes": PROCESSES}, **more}]
    return parse_scenario("one", {"driver": {"version": "570.1"}, "gpus": gpus, "faults": list(faults)}, source="test")


class Counting:
    """NVML that counts the calls of each function."""

    def __init__(self, nvml: Any) -> None:
        self._nvml, self.calls = nvml, Counter[str]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            self.calls[FUNCTIONS[name]] += 1
            return getattr(self._nvml, name)(*arguments)

        return call


def gpu_of(node: Scenario) -> Gpu:
    return read_inventory(simulated_nvml(node.without_faults(), lambda: 0.0), numa_of(node)).gpus[0]


def read(node: Scenario, now: float = 1.0) -> tuple[GpuUsage, Counter[str]]:
    with simulated_nvml(node, lambda: now)() as nvml:
        counting = Counting(nvml)
        return read_usage(counting, nvml.device_get_handle_by_index(0), gpu_of(node)), counting.calls


def test_an_unsupported_query_is_none_and_not_a_fault() -> None:
    usage, _ = read(scenario({"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetPowerUsage"}))
    assert (usage.power, usage.fault) == (None, None)
    assert usage.utilization is not None


def test_a_failed_query_is_none_and_a_fault() -> None:
    call = {"at": 0, "kind": "fails", "call": "nvmlDeviceGetTemperature", "result": "UNKNOWN"}
    usage, _ = read(scenario(call))
    assert (usage.temperature, usage.fault) == (None, "nvmlDeviceGetTemperature returned UNKNOWN")
    assert usage.power == 250


def test_a_lost_gpu_is_queried_once() -> None:
    usage, calls = read(
        scenario({"at": 1, "kind": "fails", "call": "nvmlDeviceGetPowerUsage", "result": "GPU_IS_LOST"})
    )
    assert calls == {"nvmlDeviceGetPowerUsage": 1}
    assert usage.fault == "nvmlDeviceGetPowerUsage returned GPU_IS_LOST"


def test_without_any_list_the_processes_are_unknown() -> None:
    kinds = ("Compute", "MPSCompute", "Graphics")
    calls = [{"at": 0, "kind": "unsupported", "call": f"nvmlDeviceGet{kind}RunningProcesses"} for kind in kinds]
    assert read(scenario(*calls))[0].processes is None
    usage, _ = read(scenario(*calls[:1]))
    assert usage.processes == ()


def test_in_mig_mode_no_samples_of_processes_are_requested() -> None:
    mig = {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb"]}
    node = scenario(mig=mig, use={"processes": [{"pid": 5, "memory": "1Gi", "mig": 1}]})
    usage, calls = read(node)
    assert calls["nvmlDeviceGetProcessUtilization"] == 0
    assert [each.memory.used for each in usage.instances if each.memory] == [0, 1 << 30]
    assert usage.processes is not None
    assert [(each.pid, each.sm) for each in usage.processes] == [(5, None)]


def test_each_sample_of_a_process_counts_in_one_reading() -> None:
    node, now, samples = scenario(), 1.5, SampleReader()
    gpu = gpu_of(node)
    with simulated_nvml(node, lambda: now)() as nvml:
        device = nvml.device_get_handle_by_index(0)

        def percents() -> list[float | None]:
            return [each.sm for each in read_usage(nvml, device, gpu, samples).processes or ()]

        assert percents() == [30.0, 40.0]
        assert percents() == [0.0, 0.0]
        now = 2.5
        assert percents() == [30.0, 40.0]
