"""Polls the health of GPUs. A broken GPU does not affect the others.

Source: NVML API reference: field values, remapped rows, retired pages, ECC errors, clocks event reasons, fabric.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from gpu_core.domain.evidence import GpuState, RecoveryAction
from gpu_core.domain.inventory import GpuUuid
from gpu_core.nvml.api import ABSENT, GPU_IS_LOST, RESET_REQUIRED, TIMEOUT, FabricHealth, Handle, Nvml
from node_core.errors import NvmlError

Result = TypeVar("Result")

LOST = frozenset({GPU_IS_LOST, TIMEOUT})
RECOVERY_ACTIONS: Mapping[int | None, RecoveryAction] = {
    0: RecoveryAction.NONE,
    1: RecoveryAction.RESET,
    2: RecoveryAction.REBOOT,
    3: RecoveryAction.DRAIN_P2P,
    4: RecoveryAction.DRAIN_RESET,
    6: RecoveryAction.RESET,  # of the bus
    7: RecoveryAction.REBOOT,  # of the system
}
"""NVML_GPU_RECOVERY_ACTION_*. 5 concerns the IMEX domain, which a single node cannot recover."""
BRAKES = {0x20: "thermal, by software", 0x40: "thermal, by hardware", 0x80: "power brake"}
"""Bits of nvmlClocksEventReason*."""
UNFINISHED = {
    1: "the registration in the NVLink fabric has not started: check that the fabric manager runs",
    2: "the registration in the NVLink fabric is not complete",
}
COMPLETED = 3
"""NVML_GPU_FABRIC_STATE_*; 0 is a GPU without a fabric."""
FABRIC_PROBLEMS = {
    0: "the bandwidth in the NVLink fabric is degraded",
    4: "the route in the NVLink fabric is unhealthy",
}
"""NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_*; each has two bits, whose value 1 means true."""


def read_states(nvml: Nvml, indexes: Iterable[int]) -> tuple[GpuState, ...]:
    """Reads the states of these GPUs. Omits GPUs without a UUID, which are Faults of the inventory."""
    found = (_read_named(nvml, index) for index in indexes)
    return tuple(state for state in found if state is not None)


def _read_named(nvml: Nvml, index: int) -> GpuState | None:
    try:
        device = nvml.device_get_handle_by_index(index)
        return read_state(nvml, device, GpuUuid(nvml.device_get_uuid(device)))
    except NvmlError:
        return None


def read_state(nvml: Nvml, device: Handle, gpu: GpuUuid) -> GpuState:
    """Reads the state of a GPU. Never fails."""
    reader = _StateReader()
    number = reader.query(lambda: nvml.device_get_recovery_action(device))
    rows = reader.query(lambda: nvml.device_get_remapped_rows(device))
    retirement_pending = reader.query(lambda: nvml.device_get_retired_pages_pending(device))
    uncorrectable = reader.query(lambda: nvml.device_get_uncorrected_ecc_errors(device))
    reasons = reader.query(lambda: nvml.device_get_clocks_event_reasons(device), is_informational=True)
    fabric = reader.query(lambda: nvml.device_get_fabric_health(device), is_informational=True)
    return GpuState(
        gpu=gpu,
        lost=reader.is_lost,
        recovery_action=RecoveryAction.RESET if reader.needs_reset else RECOVERY_ACTIONS.get(number),
        remap_pending=None if rows is None else rows.pending,
        remap_failed=None if rows is None else rows.failed,
        retirement_pending=retirement_pending,
        uncorrectable=uncorrectable,
        throttled=tuple(name for bit, name in BRAKES.items() if (reasons or 0) & bit),
        fabric=() if fabric is None else tuple(_fabric_problems(fabric)),
        fault=reader.fault or _unknown_action(number),
    )


def _fabric_problems(fabric: FabricHealth) -> Iterator[str]:
    """A recovery in progress is not a problem."""
    if fabric.state in UNFINISHED:
        yield UNFINISHED[fabric.state]
    if fabric.state == COMPLETED and fabric.status:
        yield f"the registration in the NVLink fabric failed with nvmlReturn_t {fabric.status}"
    yield from (problem for shift, problem in FABRIC_PROBLEMS.items() if fabric.mask >> shift & 3 == 1)
    if fabric.mask >> 8 & 15 > 1:
        yield f"the configuration does not match the NVLink fabric (NVML reason {fabric.mask >> 8 & 15})"


class _StateReader:
    """Queries one GPU and collects errors."""

    def __init__(self) -> None:
        self.is_lost = False
        self.needs_reset = False
        self.fault: str | None = None

    def query(self, query: Callable[[], Result], *, is_informational: bool = False) -> Result | None:
        """The result of a query, or None. A lost GPU gets no further queries, because each may take long.

        is_informational: the value does not make a GPU unhealthy, so a failed query is not a fault.
        """
        if self.is_lost:
            return None
        try:
            return query()
        except NvmlError as error:
            self.is_lost = error.code in LOST
            self.needs_reset |= error.code == RESET_REQUIRED
            if error.code not in ABSENT and (self.is_lost or not is_informational):
                self.fault = self.fault or str(error)
            return None


def _unknown_action(number: int | None) -> str | None:
    if number is None or number in RECOVERY_ACTIONS:
        return None
    return f"the driver reports recovery action {number}, which does not concern a single GPU"
