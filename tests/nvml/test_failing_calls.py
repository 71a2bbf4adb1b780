"""Each call of NVML failing in turn, through pynvml and a C library: what the node loses, and what it keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node_core.host.nvml.api import FUNCTIONS
from node_core.simulate.scenario import load_scenario, parse_scenario
from tests.nvml.looks import look_all
from tests.nvml.scenario_lines import render_lines, write_host_root

SCENARIO = load_scenario("h100x8-mig-mixed")
SICK, MIG_SICK = 1, 7
"""A whole GPU, and one that is cut into MIG devices, each with siblings of its kind."""

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
"""Call -> the facts that change when a GPU does not support it; None where a GPU without it is a fault."""
PAIR_CALL = "nvmlDeviceGetTopologyCommonAncestor"
ELSEWHERE = f"link {SICK} 0 0000FFFF:01:00.0"
"""A link to no switch, so that each call about links has one that it is about."""

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
"""Call -> what NOT_SUPPORTED costs a GPU that is cut into MIG devices."""

STATE_CALLS = {
    "nvmlDeviceGetFieldValues": {"recovery_action"},
    "nvmlDeviceGetRemappedRows": {"remap_pending", "remap_failed"},
    "nvmlDeviceGetRetiredPagesPendingStatus": {"retirement_pending"},
    "nvmlDeviceGetTotalEccErrors": {"uncorrectable"},
    "nvmlDeviceGetCurrentClocksEventReasons": set[str](),
    "nvmlDeviceGetGpuFabricInfoV": set[str](),
}
"""Call -> what a GPU does not say of its health without it."""

EVENT_CALLS = {
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlEventSetCreate",
    "nvmlEventSetFree",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
}
"""No look makes these; test_events.py has them."""

SYSTEM_CALLS = ("nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetCount")


def cases() -> dict[str, str]:
    """Name -> the fault's line."""
    lines = {f"{call} {code}": f"fault {call} {SICK} {CODES[code]}" for call in GPU_CALLS for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} {SICK} {CODES[code]}" for call in STATE_CALLS for code in CODES}
    lines |= {f"{PAIR_CALL} {code}": f"fault {PAIR_CALL} {SICK} {CODES[code]}" for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} {MIG_SICK} {CODES[code]}" for call in MIG_CALLS for code in CODES}
    lines |= {f"{call} {code}": f"fault {call} * {CODES[code]}" for call in SYSTEM_CALLS for code in CODES}
    return lines | {f"init {code}": f"init {code}" for code in (9, 12, 18, 999)}


@pytest.fixture(scope="module")
def looks(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("failing")
    host_root = str(write_host_root(folder / "host", SCENARIO))
    jobs = {}
    for name, line in {"sound": "", **cases()}.items():
        path = folder / f"{name}.lines"
        path.write_text(render_lines(SCENARIO, more=(ELSEWHERE, line) if line else (ELSEWHERE,)))
        jobs[name] = {"lines": str(path), "library": str(library), "host_root": host_root}
    found = dict(zip(jobs, look_all(list(jobs.values())), strict=True))
    return found.__getitem__


def siblings(look: Any, index: int) -> list[Any]:
    """Without what they say of how near that GPU is."""
    others = [gpu for gpu in look["gpus"] if gpu["index"] != index]
    known = {gpu["uuid"] for gpu in others}
    return [{**gpu, "pci_peers": [peer for peer in gpu["pci_peers"] if peer["gpu"] in known]} for gpu in others]


def gpu_at(look: Any, index: int) -> Any:
    return next(gpu for gpu in look["gpus"] if gpu["index"] == index)


@pytest.mark.parametrize("call", GPU_CALLS)
def test_what_a_gpu_does_not_support_is_absent_and_no_more(call: str, looks: Callable[[str], Any]) -> None:
    sound, found, costs = looks("sound"), looks(f"{call} NOT_SUPPORTED"), GPU_CALLS[call]
    assert siblings(found, SICK) == siblings(sound, SICK)
    if costs is None:
        assert [fault["reason"] for fault in found["faults"]] == [f"{call} answered NOT_SUPPORTED"]
        return
    assert (gpu_at(found, SICK), found["faults"]) == ({**gpu_at(sound, SICK), **costs}, [])


@pytest.mark.parametrize("code", ["UNKNOWN", "GPU_IS_LOST"])
@pytest.mark.parametrize("call", GPU_CALLS)
def test_any_other_failure_is_a_fault_of_that_gpu_alone(call: str, code: str, looks: Callable[[str], Any]) -> None:
    found = looks(f"{call} {code}")
    assert found["gpus"] == siblings(looks("sound"), SICK)
    assert [fault["index"] for fault in found["faults"]] == [SICK]
    assert found["faults"][0]["reason"] == f"{call} answered {code}"


@pytest.mark.parametrize("code", CODES)
def test_what_is_not_said_of_two_gpus_is_absent_in_both(code: str, looks: Callable[[str], Any]) -> None:
    sound, found = looks("sound"), looks(f"{PAIR_CALL} {code}")
    assert siblings(found, SICK) == siblings(sound, SICK)
    assert (gpu_at(found, SICK), found["faults"]) == ({**gpu_at(sound, SICK), "pci_peers": []}, [])
    assert all(len(gpu["pci_peers"]) == len(found["gpus"]) - 2 for gpu in found["gpus"] if gpu["index"] != SICK)


ADVICE = ("nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetCurrentClocksEventReasons")
"""What they say takes no GPU away, and neither does their silence."""


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("call", STATE_CALLS)
def test_a_question_about_health_that_fails_costs_its_answer_only(
    call: str, code: str, looks: Callable[[str], Any]
) -> None:
    sound, found = looks("sound"), looks(f"{call} {code}")
    assert {**found, "states": sound["states"]} == sound
    before, after = sound["states"].pop(SICK), found["states"].pop(SICK)
    assert found["states"] == sound["states"]
    sound["states"].insert(SICK, before)
    assert after["lost"] == (code == "GPU_IS_LOST")
    is_passed_over = code == "NOT_SUPPORTED" or (call in ADVICE and code != "GPU_IS_LOST")
    assert after["fault"] == (None if is_passed_over else f"{call} answered {code}")
    if code != "GPU_IS_LOST":
        silent = dict.fromkeys(STATE_CALLS[call])
        assert after == {**before, **silent, "fault": after["fault"]}


@pytest.mark.parametrize("call", MIG_CALLS)
def test_what_a_mig_gpu_does_not_support_costs_its_mig_devices_at_most(call: str, looks: Callable[[str], Any]) -> None:
    sound, found = looks("sound"), looks(f"{call} NOT_SUPPORTED")
    before, after = gpu_at(sound, MIG_SICK), gpu_at(found, MIG_SICK)
    assert siblings(found, MIG_SICK) == siblings(sound, MIG_SICK)
    assert found["faults"] == []
    match MIG_CALLS[call]:
        case "no devices":
            assert after == {**before, "mig_devices": []}
        case "faults":
            slots = [device["slot"] for device in before["mig_devices"]]
            assert [fault["slot"] for fault in after["mig_faults"]] == slots
            assert after == {**before, "mig_devices": [], "mig_faults": after["mig_faults"]}
        case "no profile":
            nameless = [{**device, "profile": None} for device in before["mig_devices"]]
            assert after == {**before, "mig_devices": nameless}


@pytest.mark.parametrize("call", MIG_CALLS)
def test_a_gpu_that_is_lost_while_its_mig_devices_are_read_is_a_fault(call: str, looks: Callable[[str], Any]) -> None:
    found = looks(f"{call} GPU_IS_LOST")
    assert found["gpus"] == siblings(looks("sound"), MIG_SICK)
    assert [fault["index"] for fault in found["faults"]] == [MIG_SICK]


@pytest.mark.parametrize("call", MIG_CALLS)
def test_another_failure_below_a_mig_gpu_spares_its_siblings(call: str, looks: Callable[[str], Any]) -> None:
    sound, found = looks("sound"), looks(f"{call} UNKNOWN")
    assert siblings(found, MIG_SICK) == siblings(sound, MIG_SICK)
    whole = [fault["reason"] for fault in found["faults"]]
    parts = [fault["reason"] for gpu in found["gpus"] for fault in gpu["mig_faults"]]
    assert whole or parts
    assert all(reason.endswith("answered UNKNOWN") for reason in whole + parts)


def test_a_driver_that_does_not_say_its_versions_still_has_gpus(looks: Callable[[str], Any]) -> None:
    sound = looks("sound")
    assert looks("nvmlSystemGetDriverVersion NOT_SUPPORTED") == {
        **sound,
        "driver": {**sound["driver"], "version": ""},
    }
    assert looks("nvmlSystemGetCudaDriverVersion NOT_SUPPORTED") == {
        **sound,
        "driver": {**sound["driver"], "cuda": None},
    }


@pytest.mark.parametrize("call", SYSTEM_CALLS)
@pytest.mark.parametrize("code", ["UNKNOWN", "GPU_IS_LOST"])
def test_a_failure_of_the_whole_system_is_an_error(call: str, code: str, looks: Callable[[str], Any]) -> None:
    found = looks(f"{call} {code}")
    assert (found["call"], found["raised"]) == (call, code)


def test_a_count_that_is_not_supported_is_an_error(looks: Callable[[str], Any]) -> None:
    assert looks("nvmlDeviceGetCount NOT_SUPPORTED")["raised"] == "NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("number", "code"),
    [(9, "DRIVER_NOT_LOADED"), (12, "LIBRARY_NOT_FOUND"), (18, "LIB_RM_VERSION_MISMATCH"), (999, "UNKNOWN")],
)
def test_a_driver_that_does_not_start_is_an_error_by_its_name(
    number: int, code: str, looks: Callable[[str], Any]
) -> None:
    found = looks(f"init {number}")
    assert (found["call"], found["raised"]) == ("nvmlInit_v2", code)


def test_every_call_of_the_scenario_files_is_in_the_table() -> None:
    assert set(FUNCTIONS.values()) <= {*GPU_CALLS, PAIR_CALL, *MIG_CALLS, *STATE_CALLS, *EVENT_CALLS, *SYSTEM_CALLS}


def test_a_fault_of_a_scenario_file_reaches_the_library(library: Path, tmp_path: Path) -> None:
    fault = {"at": 2, "kind": "driver_gone"}
    gpus = [{"model": "Tesla T4", "count": 1, "device_id": "1eb8"}]
    scenario = parse_scenario("t", {"driver": {"version": "1.2"}, "gpus": gpus, "faults": [fault]}, source="here")
    jobs = []
    for now in (1.0, 3.0):
        path = tmp_path / f"{now}.lines"
        path.write_text(render_lines(scenario, now=now))
        jobs.append({"lines": str(path), "library": str(library), "host_root": str(tmp_path)})
    before, during = look_all(jobs)
    assert len(before["gpus"]) == 1
    assert during["raised"] == "DRIVER_NOT_LOADED"
