"""The faults and the health of simulated GPUs at a time of the scenario, and the NVML events of the scenario. PURE."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from gpu_core.domain.evidence import RecoveryAction
from gpu_core.nvml.api import EventType, FabricHealth, RemappedRows
from simulation.scenarios.file_format import FaultEvent, FaultKind
from simulation.scenarios.scenario import Scenario, SimulatedGpu

EVENT_TYPES = EventType.SINGLE_BIT_ECC | EventType.DOUBLE_BIT_ECC | EventType.XID | EventType.MIG_CONFIG
"""The event types of simulated GPUs."""
RECOVERY_ACTIONS = {
    RecoveryAction.NONE: 0,
    RecoveryAction.RESET: 1,
    RecoveryAction.REBOOT: 2,
    RecoveryAction.DRAIN_P2P: 3,
    RecoveryAction.DRAIN_RESET: 4,
}
"""The values of NVML_GPU_RECOVERY_ACTION_*."""
BRAKES = {"thermal": 0x40, "power": 0x80}
"""The bits of nvmlClocksEventReason*: HwThermalSlowdown, HwPowerBrakeSlowdown."""
FABRIC_STATES = {"not-started": 1, "in-progress": 2}
COMPLETED = 3
"""NVML_GPU_FABRIC_STATE_*."""
FABRIC_HEALTH = {"degraded-bandwidth": 0, "route-unhealthy": 4}
"""NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_*."""
HEALTHY_FABRIC = 0xAA
"""The mask of a healthy fabric: four pairs of bits with the value "false"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHealth:
    """The health as NVML values. The last active recovery action in the file has precedence. fabric: None without a fabric."""

    recovery_action: int
    remapped_rows: RemappedRows
    retired_pages_pending: bool
    uncorrected_ecc_errors: int
    clocks_event_reasons: int
    fabric: FabricHealth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedEvent:
    """at: seconds since the start. gpu: the index of the GPU. The other fields are those of `NvmlEvent`."""

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
    """Returns the fabric health of a GPU with a fabric, or with a fabric fault: the fabric of a single machine has no cluster UUID."""
    faults = [event for event in scenario.faults if event.kind == "fabric" and event.gpu in (None, gpu)]
    if scenario.gpus[gpu].fabric is None and not faults:
        return None
    states = [event.state or "" for event in faults if event.is_active(now)]
    mask = HEALTHY_FABRIC
    for shift in (FABRIC_HEALTH[state] for state in states if state in FABRIC_HEALTH):
        mask = mask & ~(3 << shift) | 1 << shift
    return FabricHealth(
        state=min((FABRIC_STATES.get(state, COMPLETED) for state in states), default=COMPLETED), status=0, mask=mask
    )


def list_events(scenario: Scenario) -> Iterator[SimulatedEvent]:
    """Yields all events in the order of time. A scenario can have very many events."""
    return heapq.merge(*(fault_events(scenario, fault) for fault in scenario.faults), key=lambda event: event.at)


def fault_events(scenario: Scenario, fault: FaultEvent) -> Iterator[SimulatedEvent]:
    """Yields the events of one fault."""
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


def happens(scenario: Scenario, now: float, kind: FaultKind, gpu: int | None = None, call: str | None = None) -> bool:
    """Returns whether a fault of this kind is active at `now` seconds, for the GPU and the NVML function."""
    return bool(_active_faults(scenario, now, kind, gpu, call))


def _active_faults(
    scenario: Scenario, now: float, kind: FaultKind, gpu: int | None, call: str | None
) -> list[FaultEvent]:
    """A fault without a GPU affects all GPUs."""
    return [
        fault
        for fault in scenario.faults
        if fault.kind == kind and fault.gpu in (None, gpu) and fault.call == call and fault.is_active(now)
    ]


def failed_result(scenario: Scenario, now: float, gpu: int | None, call: str) -> str | None:
    """Returns the error code of a call that fails at `now` seconds, or None."""
    return next((fault.result for fault in _active_faults(scenario, now, "fails", gpu, call)), None)


def hang_seconds(scenario: Scenario, now: float, gpu: int | None, call: str) -> float:
    """Returns how long a call hangs at `now` seconds: 0 for a call that returns, infinity for a call that never returns."""
    faults = _active_faults(scenario, now, "hang", gpu, call)
    return max((math.inf if fault.for_ is None else fault.at + fault.for_ for fault in faults), default=now) - now
