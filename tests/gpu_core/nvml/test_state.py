"""Polling the health of GPUs: unsupported values are None, a failing GPU is lost, and neither affects other GPUs."""

from collections.abc import Callable
from typing import Any

import pytest

from gpu_core.domain.evidence import GpuState, RecoveryAction
from gpu_core.nvml.api import FUNCTIONS, FabricHealth
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.state import read_states
from node_core.values import replace
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario

BOARDS = {"model": "NVIDIA A100-SXM4-40GB", "count": 3, "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}


def three(*faults: dict[str, object]) -> Scenario:
    document = {"driver": {"version": "570.1"}, "gpus": [BOARDS], "faults": list(faults)}
    return parse_scenario("three", document, source="test")


def states(scenario: Scenario, now: float = 0.0) -> tuple[GpuState, ...]:
    with simulated_nvml(scenario, lambda: now)() as nvml:
        return read_states(nvml, range(nvml.device_get_count()))


def healthy(index: int) -> GpuState:
    return GpuState(
        gpu=three().gpus[index].uuid,
        recovery_action=RecoveryAction.NONE,
        remap_pending=False,
        remap_failed=False,
        retirement_pending=False,
        uncorrectable=0,
    )


def changed(index: int, **facts: object) -> tuple[GpuState, ...]:
    """Three healthy GPUs, one of them with other values."""
    fields = {name: getattr(healthy(index), name) for name in GpuState.__struct_fields__}
    return tuple(GpuState(**{**fields, **facts}) if at == index else healthy(at) for at in range(3))


def test_gpus_without_faults_are_healthy() -> None:
    assert states(three()) == (healthy(0), healthy(1), healthy(2))


@pytest.mark.parametrize(
    ("fault", "facts"),
    [
        ({"kind": "recovery", "action": "reset"}, {"recovery_action": RecoveryAction.RESET}),
        ({"kind": "recovery", "action": "reboot"}, {"recovery_action": RecoveryAction.REBOOT}),
        ({"kind": "recovery", "action": "drain-p2p"}, {"recovery_action": RecoveryAction.DRAIN_P2P}),
        ({"kind": "recovery", "action": "drain-reset"}, {"recovery_action": RecoveryAction.DRAIN_RESET}),
        ({"kind": "memory", "state": "remap-pending"}, {"remap_pending": True}),
        ({"kind": "memory", "state": "remap-failed"}, {"remap_failed": True}),
        ({"kind": "memory", "state": "retirement-pending"}, {"retirement_pending": True}),
        ({"kind": "ecc", "count": 3}, {"uncorrectable": 3}),
        ({"kind": "throttle", "brake": "thermal"}, {"throttled": ("thermal, by hardware",)}),
        ({"kind": "throttle", "brake": "power"}, {"throttled": ("power brake",)}),
    ],
    ids=lambda value: " ".join(map(str, value.values())),
)
def test_a_fault_affects_its_gpu_for_its_duration(fault: dict[str, object], facts: dict[str, object]) -> None:
    scenario = three({**fault, "gpu": 1, "at": 5, "for": 5})
    assert states(scenario, 4.9) == (healthy(0), healthy(1), healthy(2))
    assert states(scenario, 5.0) == changed(1, **facts)
    assert states(scenario, 10.0) == (healthy(0), healthy(1), healthy(2))


ABSENT: dict[str, dict[str, object]] = {
    "nvmlDeviceGetFieldValues": {"recovery_action": None},
    "nvmlDeviceGetRemappedRows": {"remap_pending": None, "remap_failed": None},
    "nvmlDeviceGetRetiredPagesPendingStatus": {"retirement_pending": None},
    "nvmlDeviceGetTotalEccErrors": {"uncorrectable": None},
    "nvmlDeviceGetCurrentClocksEventReasons": {},
}


@pytest.mark.parametrize("call", ABSENT)
def test_an_unsupported_query_is_none_and_not_a_fault(call: str) -> None:
    assert states(three({"at": 0, "kind": "unsupported", "gpu": 2, "call": call})) == changed(2, **ABSENT[call])


ADVICE: dict[str, dict[str, Any]] = {
    "nvmlDeviceGetCurrentClocksEventReasons": {"throttled": ()},
    "nvmlDeviceGetGpuFabricInfoV": {"fabric": ()},
}
"""Queries that do not change the health of a GPU, also if they fail."""


@pytest.mark.parametrize("call", sorted(ABSENT.keys() - ADVICE.keys()))
def test_a_failed_query_is_none_and_a_fault(call: str) -> None:
    found = states(three({"at": 0, "kind": "fails", "gpu": 0, "call": call, "result": "UNKNOWN"}))
    assert found == changed(0, **ABSENT[call], fault=f"{call} returned UNKNOWN")


@pytest.mark.parametrize("result", ["INVALID_ARGUMENT", "UNKNOWN"])
@pytest.mark.parametrize("call", ADVICE)
def test_a_failed_informational_query_is_not_a_fault(call: str, result: str) -> None:
    brakes = {"at": 0, "kind": "throttle", "gpu": 0, "brake": "power"}
    late = {"at": 0, "kind": "fabric", "gpu": 0, "state": "in-progress"}
    fails = {"at": 0, "kind": "fails", "gpu": 0, "call": call, "result": result}
    sentences = states(three(brakes, late))[0]
    assert states(three(brakes, late, fails))[0] == replace(sentences, **ADVICE[call])


@pytest.mark.parametrize("call", ADVICE)
def test_an_informational_query_can_report_that_a_reset_is_required(call: str) -> None:
    fault = {"at": 0, "kind": "fails", "gpu": 1, "call": call, "result": "RESET_REQUIRED"}
    assert states(three(fault))[1].recovery_action is RecoveryAction.RESET


@pytest.mark.parametrize("result", ["GPU_IS_LOST", "TIMEOUT"])
@pytest.mark.parametrize("call", ABSENT | ADVICE)
def test_a_lost_gpu_does_not_affect_others(call: str, result: str) -> None:
    found = states(three({"at": 0, "kind": "fails", "gpu": 1, "call": call, "result": result}))
    assert (found[0], found[2]) == (healthy(0), healthy(2))
    assert found[1].lost
    assert found[1].fault == f"{call} returned {result}"


def test_reset_required_overrides_the_recovery_action() -> None:
    fault = {"at": 0, "kind": "fails", "gpu": 1, "call": "nvmlDeviceGetTotalEccErrors", "result": "RESET_REQUIRED"}
    assert states(three(fault))[1].recovery_action is RecoveryAction.RESET


@pytest.mark.parametrize("call", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
def test_a_gpu_without_uuid_has_no_state(call: str) -> None:
    assert states(three({"at": 0, "kind": "fails", "gpu": 1, "call": call, "result": "GPU_IS_LOST"})) == (
        healthy(0),
        healthy(2),
    )


class Numbered:
    """NVML with one GPU, whose driver reports this recovery action."""

    def __init__(self, number: int) -> None:
        self.number = number

    def device_get_recovery_action(self, _: object) -> int:
        return self.number

    def __getattr__(self, name: str) -> Callable[..., object]:
        with simulated_nvml(three(), lambda: 0.0)() as nvml:
            first = nvml.device_get_handle_by_index(0)
            result = {"device_get_handle_by_index": first}.get(name)
            found = getattr(nvml, name)(first) if result is None and "get" in name else result
        return lambda *_: found


@pytest.mark.parametrize(
    ("number", "action"),
    [(0, "none"), (1, "reset"), (2, "reboot"), (3, "drain-p2p"), (4, "drain-reset"), (6, "reset"), (7, "reboot")],
)
def test_the_numbers_of_recovery_actions_match_pynvml(number: int, action: str) -> None:
    (state,) = read_states(Numbered(number), [0])  # type: ignore[arg-type]
    assert (state.recovery_action, state.fault) == (RecoveryAction(action), None)


@pytest.mark.parametrize("number", [5, 8, 4294967295])
def test_an_unknown_recovery_action_is_a_fault(number: int) -> None:
    (state,) = read_states(Numbered(number), [0])  # type: ignore[arg-type]
    assert state.recovery_action is None
    assert state.fault == f"the driver reports recovery action {number}, which does not concern a single GPU"


def test_a_discovery_reads_states_in_the_same_session() -> None:
    scenario = three({"at": 0, "kind": "lost", "gpu": 0}, {"at": 0, "kind": "ecc", "gpu": 2, "count": 1})
    inventory = read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))
    assert inventory.states == tuple(replace(each, nvlinks=0) for each in changed(2, uncorrectable=1)[1:])
    assert [fault.index for fault in inventory.faults] == [0]


def test_every_call_about_states_has_a_function_name() -> None:
    assert set(ABSENT) <= set(FUNCTIONS.values())


def linked(*faults: dict[str, object], mig: bool = False) -> Scenario:
    board = {**BOARDS, "mig": {"mode": "enabled"}} if mig else BOARDS
    document = {
        "driver": {"version": "570.1"},
        "gpus": [board],
        "nvlink": {"nvswitch": True, "switch_links": 12},
        "faults": list(faults),
    }
    return parse_scenario("linked", document, source="test")


def inventory_states(scenario: Scenario, now: float) -> tuple[GpuState, ...]:
    return read_inventory(simulated_nvml(scenario, lambda: now), numa_of(scenario)).states


def test_active_nvlinks_are_counted() -> None:
    scenario = linked({"kind": "nvlink", "gpu": 1, "count": 5, "at": 5, "for": 5})
    assert [[state.nvlinks for state in inventory_states(scenario, now)] for now in (0, 5, 10)] == [
        [12, 12, 12],
        [12, 7, 12],
        [12, 12, 12],
    ]


def test_in_mig_mode_nvlinks_are_not_counted() -> None:
    assert {state.nvlinks for state in inventory_states(linked(mig=True), 0)} == {None}


@pytest.mark.parametrize(
    ("health", "problems"),
    [
        (FabricHealth(state=0, status=0, mask=0), []),
        (FabricHealth(state=3, status=0, mask=0), []),
        (FabricHealth(state=3, status=0, mask=0xAA | 1 << 8), []),
        (FabricHealth(state=3, status=0, mask=1 << 2 | 1 << 6), []),
        (FabricHealth(state=1, status=999, mask=0), ["has not started"]),
        (FabricHealth(state=2, status=0, mask=0), ["is not complete"]),
        (FabricHealth(state=3, status=15, mask=0), ["failed with nvmlReturn_t 15"]),
        (FabricHealth(state=3, status=0, mask=1), ["bandwidth in the NVLink fabric is degraded"]),
        (FabricHealth(state=3, status=0, mask=1 << 4), ["route in the NVLink fabric is unhealthy"]),
        (FabricHealth(state=3, status=0, mask=4 << 8), ["configuration does not match"]),
        (FabricHealth(state=99, status=-1, mask=0xFFFFFFFF), ["configuration does not match"]),
    ],
    ids=str,
)
def test_each_fabric_problem_is_a_sentence(health: FabricHealth, problems: list[str]) -> None:
    with simulated_nvml(three(), lambda: 0.0)() as nvml:
        vars(nvml)["device_get_fabric_health"] = lambda _: health
        (first, *_) = read_states(nvml, [0])
    assert len(first.fabric) == len(problems)
    assert all(part in sentence for part, sentence in zip(problems, first.fabric, strict=True))
