"""Each NVML call fails in turn, through pynvml and a C library: which values are lost and which are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_core.nvml.api import FUNCTIONS
from gpu_core.nvml.mig_api import MIG_FUNCTIONS
from gpu_core.nvml.usage_api import USAGE_FUNCTIONS
from simulation.scenarios.scenario import load_scenario, parse_scenario
from tests.nvml.discoveries import discover_all
from tests.nvml.scenario_lines import render_lines, write_host_root

SCENARIO = load_scenario("h100x8-mig-mixed")
SICK, MIG_SICK = 1, 7
"""A GPU without MIG and a GPU with MIG devices, each with other GPUs of the same kind."""

CODES = {"NOT_SUPPORTED": 3, "UNKNOWN": 999, "GPU_IS_LOST": 15}
GPU_CALLS: dict[str, dict[str, object] | None] = {
    "nvmlDeviceGetHandleByIndex": None,
    "nvmlDeviceGetUUID": None,
    "nvmlDeviceGetName": None,
    "nvmlDeviceGetMinorNumber": {"minor": None},
    "nvmlDeviceGetPciInfo": {"address": None, "numa_node": None},
    "nvmlDeviceGetMemoryInfo": {"memory_bytes": None},
    "nvmlDeviceGetCudaComputeCapability": {"compute": None},
    "nvmlDeviceGetMigMode": {"mig_capable": False},
    "nvmlDeviceGetGpuFabricInfo": {},
    "nvmlDeviceGetNvLinkState": {"switch_links": 0},
    "nvmlDeviceGetNvLinkRemoteDeviceType": {"switch_links": 0},
    "nvmlDeviceGetNvLinkRemotePciInfo": {},
}
"""Call -> the fields that change if a GPU does not support the call; None if the GPU becomes a fault."""
DESCRIPTIONS = {"nvmlDeviceGetBrand": "brand", "nvmlDeviceGetAddressingMode": "addressing_mode"}
"""Calls that only describe a GPU -> the field that is missing after any error."""
PAIR_CALL = "nvmlDeviceGetTopologyCommonAncestor"
ELSEWHERE = f"link {SICK} 0 0000FFFF:01:00.0"
"""A link to a GPU, so that each call about links has an effect."""

MIG_CALLS = {
    "nvmlDeviceGetMaxMigDeviceCount": "no devices",
    "nvmlDeviceGetMigDeviceHandleByIndex": "no devices",
    "nvmlDeviceGetGpuInstanceId": "faults",
    "nvmlDeviceGetComputeInstanceId": "faults",
    "nvmlDeviceGetAttributes": "faults",
    "nvmlDeviceGetGpuInstanceById": "no profile",
    "nvmlGpuInstanceGetInfo": "no profile",
    "nvmlGpuInstanceGetComputeInstanceById": "no profile",
    "nvmlComputeInstanceGetInfo": "no profile",
    "nvmlDeviceGetGpuInstanceProfileInfo": "no profile",
    "nvmlGpuInstanceGetComputeInstanceProfileInfo": "no profile",
}
"""Call -> the effect of NOT_SUPPORTED on a GPU with MIG devices."""

STATE_CALLS = {
    "nvmlDeviceGetFieldValues": {"recovery_action"},
    "nvmlDeviceGetRemappedRows": {"remap_pending", "remap_failed"},
    "nvmlDeviceGetRetiredPagesPendingStatus": {"retirement_pending"},
    "nvmlDeviceGetTotalEccErrors": {"uncorrectable"},
    "nvmlDeviceGetCurrentClocksEventReasons": set[str](),
    "nvmlDeviceGetGpuFabricInfoV": set[str](),
}
"""Call -> the field of GpuState that is missing without the call."""

EVENT_CALLS = {
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlEventSetCreate",
    "nvmlEventSetFree",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
}
"""Calls that a discovery does not use; see test_events.py."""

USE_CALLS = set(USAGE_FUNCTIONS.values())
"""Calls about live use; see test_usage.py."""

LAYOUT_CALLS = set(MIG_FUNCTIONS.values())
"""Calls that read and change MIG layouts; see test_mig.py."""

SYSTEM_CALLS = ("nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetCount")


def cases() -> dict[str, str]:
    """Name -> line of the fault."""
    lines = {f"{call} {code}": f"fault {call} {SICK} {CODES[code]}" for call in GPU_CALLS for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} {SICK} {CODES[code]}" for call in STATE_CALLS for code in CODES}
    lines |= {f"{PAIR_CALL} {code}": f"fault {PAIR_CALL} {SICK} {CODES[code]}" for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} {SICK} {CODES[code]}" for call in DESCRIPTIONS for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} {MIG_SICK} {CODES[code]}" for call in MIG_CALLS for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} * {CODES[code]}" for call in SYSTEM_CALLS for code in CODES}
    return lines | {f"init {code}": f"init {code}" for code in (9, 12, 18, 999)}


@pytest.fixture(scope="module")
def discovered(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("failing")
    host_root = str(write_host_root(folder / "host", SCENARIO))
    jobs = {}
    for name, line in {"sound": "", **cases()}.items():
        path = folder / f"{name}.lines"
        path.write_text(render_lines(SCENARIO, more=(ELSEWHERE, line) if line else (ELSEWHERE,)))
        jobs[name] = {"lines": str(path), "library": str(library), "host_root": host_root}
    found = dict(zip(jobs, discover_all(list(jobs.values())), strict=True))
    return found.__getitem__


def siblings(discover: Any, index: int) -> list[Any]:
    """The other GPUs, without their PCI paths to this GPU."""
    others = [gpu for gpu in discover["gpus"] if gpu["index"] != index]
    known = {gpu["uuid"] for gpu in others}
    return [{**gpu, "pci_peers": [peer for peer in gpu["pci_peers"] if peer["gpu"] in known]} for gpu in others]


def gpu_at(discover: Any, index: int) -> Any:
    return next(gpu for gpu in discover["gpus"] if gpu["index"] == index)


@pytest.mark.parametrize("call", GPU_CALLS)
def test_an_unsupported_call_affects_only_its_own_value(call: str, discovered: Callable[[str], Any]) -> None:
    healthy, found, costs = discovered("sound"), discovered(f"{call} NOT_SUPPORTED"), GPU_CALLS[call]
    assert siblings(found, SICK) == siblings(healthy, SICK)
    if costs is None:
        assert [fault["reason"] for fault in found["faults"]] == [f"{call} returned NOT_SUPPORTED"]
        return
    assert (gpu_at(found, SICK), found["faults"]) == ({**gpu_at(healthy, SICK), **costs}, [])


@pytest.mark.parametrize("code", ["UNKNOWN", "GPU_IS_LOST"])
@pytest.mark.parametrize("call", GPU_CALLS)
def test_any_other_failure_is_a_fault_of_that_gpu_only(call: str, code: str, discovered: Callable[[str], Any]) -> None:
    found = discovered(f"{call} {code}")
    assert found["gpus"] == siblings(discovered("sound"), SICK)
    assert [fault["index"] for fault in found["faults"]] == [SICK]
    assert found["faults"][0]["reason"] == f"{call} returned {code}"


@pytest.mark.parametrize("code", CODES)
def test_a_failed_topology_query_affects_both_gpus_only(code: str, discovered: Callable[[str], Any]) -> None:
    healthy, found = discovered("sound"), discovered(f"{PAIR_CALL} {code}")
    assert siblings(found, SICK) == siblings(healthy, SICK)
    assert (gpu_at(found, SICK), found["faults"]) == ({**gpu_at(healthy, SICK), "pci_peers": []}, [])
    assert all(len(gpu["pci_peers"]) == len(found["gpus"]) - 2 for gpu in found["gpus"] if gpu["index"] != SICK)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("call", DESCRIPTIONS)
def test_a_failing_call_that_only_describes_a_gpu_costs_its_own_value(
    call: str, code: str, discovered: Callable[[str], Any]
) -> None:
    healthy, found = discovered("sound"), discovered(f"{call} {code}")
    assert (found["faults"], siblings(found, SICK)) == ([], siblings(healthy, SICK))
    assert gpu_at(found, SICK) == {**gpu_at(healthy, SICK), DESCRIPTIONS[call]: None}


ADVICE = ("nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetCurrentClocksEventReasons")
"""Informational calls: neither their results nor their failures make a GPU unhealthy."""


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("call", STATE_CALLS)
def test_a_failed_health_query_affects_only_its_own_value(
    call: str, code: str, discovered: Callable[[str], Any]
) -> None:
    healthy, found = discovered("sound"), discovered(f"{call} {code}")
    assert {**found, "states": healthy["states"]} == healthy
    before, after = healthy["states"].pop(SICK), found["states"].pop(SICK)
    assert found["states"] == healthy["states"]
    healthy["states"].insert(SICK, before)
    assert after["lost"] == (code == "GPU_IS_LOST")
    is_passed_over = code == "NOT_SUPPORTED" or (call in ADVICE and code != "GPU_IS_LOST")
    assert after["fault"] == (None if is_passed_over else f"{call} returned {code}")
    if code != "GPU_IS_LOST":
        silent = dict.fromkeys(STATE_CALLS[call])
        assert after == {**before, **silent, "fault": after["fault"]}


@pytest.mark.parametrize("call", MIG_CALLS)
def test_an_unsupported_mig_call_affects_at_most_the_mig_devices(call: str, discovered: Callable[[str], Any]) -> None:
    healthy, found = discovered("sound"), discovered(f"{call} NOT_SUPPORTED")
    before, after = gpu_at(healthy, MIG_SICK), gpu_at(found, MIG_SICK)
    assert siblings(found, MIG_SICK) == siblings(healthy, MIG_SICK)
    assert found["faults"] == []
    match MIG_CALLS[call]:
        case "no devices":
            assert after == {**before, "mig_devices": []}
        case "faults":
            slots = [device["slot"] for device in before["mig_devices"]]
            assert [fault["slot"] for fault in after["mig_faults"]] == slots
            assert after == {**before, "mig_devices": [], "mig_faults": after["mig_faults"]}
        case "no profile":
            nameless = [{**device, "profile": None, "start": None} for device in before["mig_devices"]]
            assert after == {**before, "mig_devices": nameless}


@pytest.mark.parametrize("call", MIG_CALLS)
def test_a_gpu_that_is_lost_while_its_mig_devices_are_read_is_a_fault(
    call: str, discovered: Callable[[str], Any]
) -> None:
    found = discovered(f"{call} GPU_IS_LOST")
    assert found["gpus"] == siblings(discovered("sound"), MIG_SICK)
    assert [fault["index"] for fault in found["faults"]] == [MIG_SICK]


@pytest.mark.parametrize("call", MIG_CALLS)
def test_a_failure_of_a_mig_device_does_not_affect_others(call: str, discovered: Callable[[str], Any]) -> None:
    healthy, found = discovered("sound"), discovered(f"{call} UNKNOWN")
    assert siblings(found, MIG_SICK) == siblings(healthy, MIG_SICK)
    whole = [fault["reason"] for fault in found["faults"]]
    parts = [fault["reason"] for gpu in found["gpus"] for fault in gpu["mig_faults"]]
    assert whole or parts
    assert all(reason.endswith("returned UNKNOWN") for reason in whole + parts)


def test_a_driver_without_versions_still_has_gpus(discovered: Callable[[str], Any]) -> None:
    healthy = discovered("sound")
    assert discovered("nvmlSystemGetDriverVersion NOT_SUPPORTED") == {
        **healthy,
        "driver": {**healthy["driver"], "version": ""},
    }
    assert discovered("nvmlSystemGetCudaDriverVersion NOT_SUPPORTED") == {
        **healthy,
        "driver": {**healthy["driver"], "cuda": None},
    }


@pytest.mark.parametrize("call", SYSTEM_CALLS)
@pytest.mark.parametrize("code", ["UNKNOWN", "GPU_IS_LOST"])
def test_a_failure_of_the_whole_system_is_an_error(call: str, code: str, discovered: Callable[[str], Any]) -> None:
    found = discovered(f"{call} {code}")
    assert (found["call"], found["raised"]) == (call, code)


def test_a_count_that_is_not_supported_is_an_error(discovered: Callable[[str], Any]) -> None:
    assert discovered("nvmlDeviceGetCount NOT_SUPPORTED")["raised"] == "NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("number", "code"),
    [(9, "DRIVER_NOT_LOADED"), (12, "LIBRARY_NOT_FOUND"), (18, "LIB_RM_VERSION_MISMATCH"), (999, "UNKNOWN")],
)
def test_a_failed_initialisation_is_an_error_with_its_code(
    number: int, code: str, discovered: Callable[[str], Any]
) -> None:
    found = discovered(f"init {number}")
    assert (found["call"], found["raised"]) == ("nvmlInit_v2", code)


def test_every_call_of_the_scenario_format_is_in_the_table() -> None:
    known = {
        *GPU_CALLS,
        *DESCRIPTIONS,
        PAIR_CALL,
        *MIG_CALLS,
        *STATE_CALLS,
        *EVENT_CALLS,
        *SYSTEM_CALLS,
        *USE_CALLS,
        *LAYOUT_CALLS,
    }
    assert set(FUNCTIONS.values()) <= known


def test_a_fault_of_a_scenario_file_reaches_the_library(library: Path, tmp_path: Path) -> None:
    fault = {"at": 2, "kind": "driver_gone"}
    gpus = [{"model": "Tesla T4", "count": 1, "device_id": "1eb8"}]
    scenario = parse_scenario("t", {"driver": {"version": "1.2"}, "gpus": gpus, "faults": [fault]}, source="here")
    jobs = []
    for now in (1.0, 3.0):
        path = tmp_path / f"{now}.lines"
        path.write_text(render_lines(scenario, now=now))
        jobs.append({"lines": str(path), "library": str(library), "host_root": str(tmp_path)})
    before, during = discover_all(jobs)
    assert len(before["gpus"]) == 1
    assert during["raised"] == "DRIVER_NOT_LOADED"
