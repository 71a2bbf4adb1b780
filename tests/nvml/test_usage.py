"""The calls about live use through pynvml and a C library give the same results as the simulation, also with each call failing."""

from pathlib import Path
from typing import Any

import pytest

from gpu_core.nvml.usage_api import USAGE_FUNCTIONS
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import Scenario, load_scenario, parse_scenario, scenario_names
from tests.nvml.conftest import Build
from tests.nvml.discoveries import discover_all
from tests.nvml.scenario_lines import CODES, render_lines
from tests.nvml.test_real_drivers import LACKING
from tests.nvml.using import read_all_usage

H100 = {"model": "NVIDIA H100 80GB HBM3", "memory": "81559Mi", "compute": "9.0", "device_id": "2330"}
BUSY = {
    "gpu": 87,
    "memory": 40,
    "encoder": 3,
    "decoder": 4,
    "sm": 61.5,
    "occupancy": 22.25,
    "tensor": 33.5,
    "dram": 12.5,
    "fp64": 1.5,
    "fp32": 2.5,
    "fp16": 3.5,
    "power": 512.25,
    "temperature": 61,
    "memory_temperature": 72,
    "sm_clock": 1755,
    "memory_clock": 2619,
    "pcie_tx": 1200,
    "pcie_rx": 800.5,
    "nvlink_tx": 5000,
    "nvlink_rx": 6000,
    "processes": [{"pid": 4242, "memory": "10Gi", "sm": 35}, {"pid": 7, "memory": "1Gi", "sm": 2}],
}
NOW = 100.0


def busy(*faults: dict[str, object]) -> Scenario:
    """A busy GPU, an idle one, and one with MIG devices of which two are in use."""
    mig = {"mode": "enabled", "instances": ["3g.40gb", "1g.10gb", "1g.10gb"]}
    processes = [{"pid": 10, "memory": "5Gi", "mig": 0}, {"pid": 11, "memory": "2Gi", "mig": 1}]
    gpus = [
        {**H100, "count": 1, "mig": {"mode": "disabled"}, "use": BUSY},
        {**H100, "count": 1, "mig": {"mode": "disabled"}},
        {**H100, "count": 1, "mig": mig, "use": {**BUSY, "used": "9Gi", "processes": processes}},
    ]
    document = {"driver": {"version": "570.1"}, "gpus": gpus, "nvlink": {"nvswitch": True}, "faults": list(faults)}
    return parse_scenario("busy", document, source="test")


SICK = busy(
    {"at": 0, "gpu": 0, "kind": "throttle", "brake": "thermal"},
    {"at": 10, "for": 20, "gpu": 0, "kind": "throttle", "brake": "power"},
    {"at": 0, "gpu": 0, "kind": "memory", "state": "remap-pending"},
    {"at": 0, "gpu": 1, "kind": "memory", "state": "remap-failed"},
    {"at": 0, "gpu": 1, "kind": "ecc", "count": 7},
    {"at": 0, "gpu": 1, "kind": "recovery", "action": "reset"},
)
SCENARIOS = {**{name: load_scenario(name) for name in scenario_names() if name != "none"}, "busy": busy(), "sick": SICK}
CALLS = sorted(set(USAGE_FUNCTIONS.values()) - {"nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmMetricsGet"})
"""The calls that are about one GPU."""
RESULTS = ("NOT_SUPPORTED", "UNKNOWN", "GPU_IS_LOST")


def read(scenario: Scenario, library: Path, folder: Path, *more: str) -> Any:
    """What a process reads through pynvml."""
    lines = folder / "lines"
    lines.write_text(render_lines(scenario, now=NOW, more=more))
    (found,) = discover_all([{"use": True, "lines": str(lines), "library": str(library)}])
    return found


def read_simulated(scenario: Scenario) -> Any:
    with simulated_nvml(scenario, lambda: NOW)() as nvml:
        return read_all_usage(nvml)


@pytest.fixture(scope="module")
def found(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("use")
    jobs = {}
    for name, scenario in {**SCENARIOS, **{name: busy(fault) for name, fault in failures().items()}}.items():
        lines = folder / f"{name}.lines"
        lines.write_text(render_lines(scenario, now=NOW))
        jobs[name] = {"use": True, "lines": str(lines), "library": str(library)}
    return dict(zip(jobs, discover_all(list(jobs.values())), strict=True))


def failures() -> dict[str, dict[str, object]]:
    """Each call of GPU 0 fails with each code."""
    return {
        f"{call} {result}": {"at": 0, "gpu": 0, "kind": "fails", "call": call, "result": result}
        for call in CALLS
        for result in RESULTS
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_library_and_the_simulation_give_the_same_use(name: str, found: dict[str, Any]) -> None:
    assert found[name] == read_simulated(SCENARIOS[name])


@pytest.mark.parametrize("name", failures())
def test_a_failing_call_costs_its_own_value_alone(name: str, found: dict[str, Any]) -> None:
    assert found[name] == read_simulated(busy(failures()[name]))
    healthy = found["busy"]
    assert found[name][1:] == healthy[1:]
    changed = {key for key, value in healthy[0].items() if found[name][0].get(key) != value}
    assert changed <= set(AFFECTED.get(name.split(maxsplit=1)[0], ())) | {"usage"}


AFFECTED = {
    "nvmlDeviceGetFieldValues": {"fields"},
    "nvmlDeviceGetClockInfo": {"clock SM", "clock MEMORY", "clock VIDEO"},
    "nvmlDeviceGetTemperature": {"temperature"},
    "nvmlDeviceGetPowerUsage": {"power"},
    "nvmlDeviceGetUtilizationRates": {"utilization"},
    "nvmlDeviceGetEncoderUtilization": {"encoder"},
    "nvmlDeviceGetDecoderUtilization": {"decoder"},
    "nvmlDeviceGetMemoryInfo": {"memory", "whole"},
    "nvmlDeviceGetPcieThroughput": {"pcie TX", "pcie RX"},
    "nvmlDeviceGetGridLicensableFeatures": {"license"},
    "nvmlDeviceGetComputeRunningProcesses": {"compute processes"},
    "nvmlDeviceGetMPSComputeRunningProcesses": {"MPS processes"},
    "nvmlDeviceGetGraphicsRunningProcesses": {"graphics processes"},
    "nvmlDeviceGetProcessUtilization": {"samples"},
    "nvmlGpmQueryDeviceSupport": {"gpm", "whole"},
    "nvmlGpmSampleGet": {"whole"},
}
"""Call -> the results that it gives. The use of a GPU whose memory cannot be read is a Fault of the discovery."""


def test_a_busy_gpu_has_its_values(found: dict[str, Any]) -> None:
    usage = found["busy"][0]["usage"]
    assert usage["utilization"] == {"gpu": 87, "memory": 40}
    assert (usage["power"], usage["temperature"], usage["fault"]) == (512.25, 61, None)
    assert usage["memory"]["used"] == 11 << 30
    assert [(each["pid"], each["memory"] >> 30, each["sm"]) for each in usage["processes"]] == [
        (7, 1, 2),
        (4242, 10, 35),
    ]
    assert usage["instances"] == []


def test_a_gpu_with_mig_devices_has_the_use_of_each_instance(found: dict[str, Any]) -> None:
    usage = found["busy"][2]["usage"]
    assert usage["utilization"] is None
    assert [each["memory"]["used"] >> 30 for each in usage["instances"]] == [5, 2, 0]
    instances = [each["gpu_instance"] for each in usage["instances"]]
    assert [(each["pid"], each["gpu_instance"], each["sm"]) for each in usage["processes"]] == [
        (10, instances[0], None),
        (11, instances[1], None),
    ]


def test_throttling_is_a_time(found: dict[str, Any]) -> None:
    fields = found["sick"][0]["fields"]
    assert (fields[75], fields[270]) == (100_000_000_000,) * 2
    assert (fields[74], fields[271]) == (20_000_000_000,) * 2


def test_a_driver_without_newer_functions_gives_the_older_values(build: Build, tmp_path: Path) -> None:
    (gpu,) = read(load_scenario("t4x1"), build(*LACKING["390.157"]), tmp_path)
    (whole,) = read_simulated(load_scenario("t4x1"))
    assert gpu["usage"]["processes"] is None
    assert gpu["compute processes"] == "FUNCTION_NOT_FOUND"
    memory = whole["usage"]["memory"]
    assert gpu["usage"]["memory"] == {**memory, "used": memory["used"] + memory["reserved"], "reserved": None}
    same = ("fields", "temperature", "power", "utilization", "clock SM")
    assert {key: gpu[key] for key in same} == {key: whole[key] for key in same}


def test_processes_are_listed_by_the_second_version_of_the_function(build: Build, tmp_path: Path) -> None:
    gpus = read(busy(), build(*LACKING["470.256.02"]), tmp_path)
    assert gpus[0]["compute processes"] == read_simulated(busy())[0]["compute processes"]
    assert gpus[0]["gpm"] == "FUNCTION_NOT_FOUND"


def test_every_result_has_a_number() -> None:
    assert set(RESULTS) <= set(CODES)
