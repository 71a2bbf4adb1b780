"""What GPUs say of their health: absent where a board cannot say it, lost where it is gone, and never in the way of the others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node_core.domain.evidence import GpuState, RecoveryAction
from node_core.host.nvml.api import FUNCTIONS, FabricHealth
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.state import read_states
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import Scenario, parse_scenario

BOARDS = {"model": "NVIDIA A100-SXM4-40GB", "count": 3, "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}


def three(*faults: dict[str, object]) -> Scenario:
    document = {"driver": {"version": "570.1"}, "gpus": [BOARDS], "faults": list(faults)}
    return parse_scenario("three", document, source="test")


def states(scenario: Scenario, now: float = 0.0) -> tuple[GpuState, ...]:
    with simulated_nvml(scenario, lambda: now)() as nvml:
        return read_states(nvml)


def sound(index: int) -> GpuState:
    return GpuState(
        gpu=three().gpus[index].uuid,
        recovery_action=RecoveryAction.NONE,
        remap_pending=False,
        remap_failed=False,
        retirement_pending=False,
        uncorrectable=0,
    )


def changed(index: int, **facts: object) -> tuple[GpuState, ...]:
    """Three sound GPUs, one of which has other facts."""
    fields = {name: getattr(sound(index), name) for name in GpuState.__dataclass_fields__}
    return tuple(GpuState(**{**fields, **facts}) if at == index else sound(at) for at in range(3))


def test_gpus_without_faults_are_sound() -> None:
    assert states(three()) == (sound(0), sound(1), sound(2))


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
def test_a_fault_is_there_for_its_time_and_on_its_gpu(fault: dict[str, object], facts: dict[str, object]) -> None:
    scenario = three({**fault, "gpu": 1, "at": 5, "for": 5})
    assert states(scenario, 4.9) == (sound(0), sound(1), sound(2))
    assert states(scenario, 5.0) == changed(1, **facts)
    assert states(scenario, 10.0) == (sound(0), sound(1), sound(2))


ABSENT: dict[str, dict[str, object]] = {
    "nvmlDeviceGetFieldValues": {"recovery_action": None},
    "nvmlDeviceGetRemappedRows": {"remap_pending": None, "remap_failed": None},
    "nvmlDeviceGetRetiredPagesPendingStatus": {"retirement_pending": None},
    "nvmlDeviceGetTotalEccErrors": {"uncorrectable": None},
    "nvmlDeviceGetCurrentClocksEventReasons": {},
}


@pytest.mark.parametrize("call", ABSENT)
def test_what_a_board_cannot_say_is_absent_and_no_fault(call: str) -> None:
    assert states(three({"at": 0, "kind": "unsupported", "gpu": 2, "call": call})) == changed(2, **ABSENT[call])


ADVICE: dict[str, dict[str, Any]] = {
    "nvmlDeviceGetCurrentClocksEventReasons": {"throttled": ()},
    "nvmlDeviceGetGpuFabricInfoV": {"fabric": ()},
}
"""What takes no GPU away, and so keeps none out either."""


@pytest.mark.parametrize("call", sorted(ABSENT.keys() - ADVICE.keys()))
def test_a_question_that_fails_is_absent_and_says_why(call: str) -> None:
    found = states(three({"at": 0, "kind": "fails", "gpu": 0, "call": call, "answer": "UNKNOWN"}))
    assert found == changed(0, **ABSENT[call], fault=f"{call} answered UNKNOWN")


@pytest.mark.parametrize("answer", ["INVALID_ARGUMENT", "UNKNOWN"])
@pytest.mark.parametrize("call", ADVICE)
def test_advice_that_fails_is_absent_and_no_fault(call: str, answer: str) -> None:
    brakes = {"at": 0, "kind": "throttle", "gpu": 0, "brake": "power"}
    late = {"at": 0, "kind": "fabric", "gpu": 0, "state": "in-progress"}
    fails = {"at": 0, "kind": "fails", "gpu": 0, "call": call, "answer": answer}
    told = states(three(brakes, late))[0]
    assert states(three(brakes, late, fails))[0] == replace(told, **ADVICE[call])


@pytest.mark.parametrize("call", ADVICE)
def test_advice_of_a_gpu_that_has_to_be_reset_says_so(call: str) -> None:
    fault = {"at": 0, "kind": "fails", "gpu": 1, "call": call, "answer": "RESET_REQUIRED"}
    assert states(three(fault))[1].recovery_action is RecoveryAction.RESET


@pytest.mark.parametrize("answer", ["GPU_IS_LOST", "TIMEOUT"])
@pytest.mark.parametrize("call", ABSENT | ADVICE)
def test_a_gpu_that_is_gone_is_lost_and_its_neighbours_are_sound(call: str, answer: str) -> None:
    found = states(three({"at": 0, "kind": "fails", "gpu": 1, "call": call, "answer": answer}))
    assert (found[0], found[2]) == (sound(0), sound(2))
    assert found[1].lost
    assert found[1].fault == f"{call} answered {answer}"


def test_a_gpu_that_has_to_be_reset_needs_a_reset_whatever_it_says_else() -> None:
    fault = {"at": 0, "kind": "fails", "gpu": 1, "call": "nvmlDeviceGetTotalEccErrors", "answer": "RESET_REQUIRED"}
    assert states(three(fault))[1].recovery_action is RecoveryAction.RESET


@pytest.mark.parametrize("call", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
def test_a_gpu_that_does_not_say_who_it_is_has_no_state(call: str) -> None:
    assert states(three({"at": 0, "kind": "fails", "gpu": 1, "call": call, "answer": "GPU_IS_LOST"})) == (
        sound(0),
        sound(2),
    )


class Numbered:
    """NVML of one GPU, whose driver gives this number as recovery action."""

    def __init__(self, number: int) -> None:
        self.number = number

    def device_get_recovery_action(self, _: object) -> int:
        return self.number

    def __getattr__(self, name: str) -> Callable[..., object]:
        with simulated_nvml(three(), lambda: 0.0)() as nvml:
            first = nvml.device_get_handle_by_index(0)
            answer = {"device_get_count": 1, "device_get_handle_by_index": first}.get(name)
            found = getattr(nvml, name)(first) if answer is None and "get" in name else answer
        return lambda *_: found


@pytest.mark.parametrize(
    ("number", "action"),
    [(0, "none"), (1, "reset"), (2, "reboot"), (3, "drain-p2p"), (4, "drain-reset"), (6, "reset"), (7, "reboot")],
)
def test_the_numbers_of_recovery_actions_are_nvmls(number: int, action: str) -> None:
    (state,) = read_states(Numbered(number))  # type: ignore[arg-type]
    assert (state.recovery_action, state.fault) == (RecoveryAction(action), None)


@pytest.mark.parametrize("number", [5, 8, 4294967295])
def test_a_recovery_action_of_no_single_gpu_is_not_taken_for_none(number: int) -> None:
    (state,) = read_states(Numbered(number))  # type: ignore[arg-type]
    assert state.recovery_action is None
    assert state.fault == f"the driver asks for recovery action {number}, which is none of those of a single GPU"


def test_a_look_brings_the_states_of_the_same_session() -> None:
    scenario = three({"at": 0, "kind": "lost", "gpu": 0}, {"at": 0, "kind": "ecc", "gpu": 2, "count": 1})
    inventory = read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))
    assert inventory.states == tuple(replace(each, nvlinks=0) for each in changed(2, uncorrectable=1)[1:])
    assert [fault.index for fault in inventory.faults] == [0]


def test_every_call_about_states_has_a_name_for_messages() -> None:
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


def test_nvlinks_are_counted_that_are_up() -> None:
    scenario = linked({"kind": "nvlink", "gpu": 1, "count": 5, "at": 5, "for": 5})
    assert [[state.nvlinks for state in inventory_states(scenario, now)] for now in (0, 5, 10)] == [
        [12, 12, 12],
        [12, 7, 12],
        [12, 12, 12],
    ]


def test_in_mig_mode_nvlinks_say_nothing() -> None:
    assert {state.nvlinks for state in inventory_states(linked(mig=True), 0)} == {None}


@pytest.mark.parametrize(
    ("said", "troubles"),
    [
        (FabricHealth(state=0, status=0, mask=0), []),
        (FabricHealth(state=3, status=0, mask=0), []),
        (FabricHealth(state=3, status=0, mask=0xAA | 1 << 8), []),
        (FabricHealth(state=3, status=0, mask=1 << 2 | 1 << 6), []),
        (FabricHealth(state=1, status=999, mask=0), ["has not begun"]),
        (FabricHealth(state=2, status=0, mask=0), ["is not completed"]),
        (FabricHealth(state=3, status=15, mask=0), ["failed with nvmlReturn_t 15"]),
        (FabricHealth(state=3, status=0, mask=1), ["less bandwidth"]),
        (FabricHealth(state=3, status=0, mask=1 << 4), ["route in the NVLink fabric is unhealthy"]),
        (FabricHealth(state=3, status=0, mask=4 << 8), ["configuration does not fit"]),
        (FabricHealth(state=99, status=-1, mask=0xFFFFFFFF), ["configuration does not fit"]),
    ],
    ids=str,
)
def test_what_the_fabric_says_is_told_in_sentences(said: FabricHealth, troubles: list[str]) -> None:
    with simulated_nvml(three(), lambda: 0.0)() as nvml:
        vars(nvml)["device_get_fabric_health"] = lambda _: said
        (first, *_) = read_states(nvml)
    assert len(first.fabric) == len(troubles)
    assert all(part in sentence for part, sentence in zip(troubles, first.fabric, strict=True))
