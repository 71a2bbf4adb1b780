"""The health of a simulated GPU at a moment of its scenario, and the events on the way. Pure."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from node_core.domain.evidence import RecoveryAction
from node_core.host.nvml.api import EventType, FabricHealth, RemappedRows
from node_core.simulate.scenario import Scenario, SimulatedGpu
from node_core.simulate.scenario_file import FaultEvent

EVENT_TYPES = EventType.SINGLE_BIT_ECC | EventType.DOUBLE_BIT_ECC | EventType.XID | EventType.MIG_CONFIG
"""What simulated GPUs can tell."""
RECOVERY_ACTIONS = {
    RecoveryAction.NONE: 0,
    RecoveryAction.RESET: 1,
    RecoveryAction.REBOOT: 2,
    RecoveryAction.DRAIN_P2P: 3,
    RecoveryAction.DRAIN_RESET: 4,
}
"""Numbers of NVML_GPU_RECOVERY_ACTION_*."""
BRAKES = {"thermal": 0x40, "power": 0x80}
"""Bits of nvmlClocksEventReason*: HwThermalSlowdown, HwPowerBrakeSlowdown."""
FABRIC_STATES = {"not-started": 1, "in-progress": 2}
COMPLETED = 3
"""NVML_GPU_FABRIC_STATE_*."""
FABRIC_HEALTH = {"degraded-bandwidth": 0, "route-unhealthy": 4}
"""NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_*."""
SOUND_FABRIC = 0xAA
"""Four pairs of bits, each of which says no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHealth:
    """Answers in NVML's numbers. Of several recovery actions at a time the last one in the file counts. fabric: None without one."""

    recovery_action: int
    remapped_rows: RemappedRows
    retired_pages_pending: bool
    uncorrected_ecc_errors: int
    clocks_event_reasons: int
    fabric: FabricHealth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedEvent:
    """at: seconds since the start. gpu: its index. The rest is as of `NvmlEvent`."""

    at: float
    gpu: int
    type: int
    data: int
    gpu_instance: int | None = None
    compute_instance: int | None = None


def health_at(scenario: Scenario, gpu: int, now: float) -> SimulatedHealth:
    faults = [event for event in scenario.faults if event.gpu == gpu and event.is_active(now)]
    states = {event.state for event in faults}
    actions = [event.action for event in faults if event.action is not None]
    reasons = {BRAKES[event.brake] for event in faults if event.brake is not None}
    return SimulatedHealth(
        recovery_action=RECOVERY_ACTIONS[actions[-1]] if actions else 0,
        remapped_rows=RemappedRows(pending="remap-pending" in states, failed="remap-failed" in states),
        retired_pages_pending="retirement-pending" in states,
        uncorrected_ecc_errors=sum(event.count or 0 for event in faults),
        clocks_event_reasons=sum(reasons),
        fabric=_fabric_at(scenario, gpu, now),
    )


def _fabric_at(scenario: Scenario, gpu: int, now: float) -> FabricHealth | None:
    """Also of a GPU whose fabric is one machine, which has no cluster, where the scenario says that something is wrong with it."""
    faults = [event for event in scenario.faults if event.kind == "fabric" and event.gpu in (None, gpu)]
    if scenario.gpus[gpu].fabric is None and not faults:
        return None
    states = [event.state or "" for event in faults if event.is_active(now)]
    mask = SOUND_FABRIC
    for shift in (FABRIC_HEALTH[state] for state in states if state in FABRIC_HEALTH):
        mask = mask & ~(3 << shift) | 1 << shift
    return FabricHealth(
        state=min((FABRIC_STATES.get(state, COMPLETED) for state in states), default=COMPLETED), status=0, mask=mask
    )


def events_of(scenario: Scenario) -> Iterator[SimulatedEvent]:
    """All of them in the order of time. They are made one by one: a storm may be large."""
    return heapq.merge(*(occurrences(scenario, fault) for fault in scenario.faults), key=lambda event: event.at)


def occurrences(scenario: Scenario, fault: FaultEvent) -> Iterator[SimulatedEvent]:
    """The events of one fault."""
    if fault.gpu is None:
        return
    if fault.kind == "ecc":
        yield SimulatedEvent(at=fault.at, gpu=fault.gpu, type=EventType.DOUBLE_BIT_ECC, data=0)
    if fault.kind == "mig":
        ends = () if fault.for_ is None else (fault.at + fault.for_,)
        for at in (fault.at, *ends):
            yield SimulatedEvent(at=at, gpu=fault.gpu, type=EventType.MIG_CONFIG, data=0)
    if fault.kind == "xid":
        yield from _xids(scenario.gpu_at(fault.gpu, fault.at), fault)


def _xids(gpu: SimulatedGpu, fault: FaultEvent) -> Iterator[SimulatedEvent]:
    mig = next((mig for mig in gpu.mig_devices if mig.slot == fault.mig), None)
    for number in range(fault.times or 1):
        yield SimulatedEvent(
            at=fault.at + number / (fault.per_second or 1.0),
            gpu=gpu.index,
            type=EventType.XID,
            data=fault.code or 0,
            gpu_instance=mig.gpu_instance if mig else None,
            compute_instance=mig.compute_instance if mig else None,
        )
