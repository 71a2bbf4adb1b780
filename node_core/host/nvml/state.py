"""What GPUs say of their own health when they are asked. One bad GPU never hides the others.

Source: NVML API reference: field values, remapped rows, retired pages, ECC errors, clocks event reasons, fabric.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from node_core.domain.evidence import GpuState, RecoveryAction
from node_core.domain.inventory import GpuUuid
from node_core.errors import NvmlError
from node_core.host.nvml.api import ABSENT, GPU_IS_LOST, RESET_REQUIRED, TIMEOUT, FabricHealth, Handle, Nvml

Answer = TypeVar("Answer")

LOST = frozenset({GPU_IS_LOST, TIMEOUT})
RECOVERY_ACTIONS = {
    0: RecoveryAction.NONE,
    1: RecoveryAction.RESET,
    2: RecoveryAction.REBOOT,
    3: RecoveryAction.DRAIN_P2P,
    4: RecoveryAction.DRAIN_RESET,
    6: RecoveryAction.RESET,  # of the bus
    7: RecoveryAction.REBOOT,  # of the system
}
"""NVML_GPU_RECOVERY_ACTION_*. 5 is about the IMEX domain, which no single node recovers."""
BRAKES = {0x20: "thermal, by software", 0x40: "thermal, by hardware", 0x80: "power brake"}
"""Bits of nvmlClocksEventReason*."""
UNFINISHED = {
    1: "its registration at the NVLink fabric has not begun: see that the fabric manager runs",
    2: "its registration at the NVLink fabric is not completed",
}
COMPLETED = 3
"""NVML_GPU_FABRIC_STATE_*; 0 is a GPU of no fabric."""
FABRIC_TROUBLES = {
    0: "it has less bandwidth in the NVLink fabric than it should",
    4: "its route in the NVLink fabric is unhealthy",
}
"""NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_*; each of two bits, of which 1 is true."""


def read_states(nvml: Nvml) -> tuple[GpuState, ...]:
    """In NVML's order, without GPUs that do not say who they are, each a Fault of the inventory. Raises where there is no count."""
    found = (_read_named(nvml, index) for index in range(nvml.device_get_count()))
    return tuple(state for state in found if state is not None)


def _read_named(nvml: Nvml, index: int) -> GpuState | None:
    try:
        device = nvml.device_get_handle_by_index(index)
        return read_state(nvml, device, GpuUuid(nvml.device_get_uuid(device)))
    except NvmlError:
        return None


def read_state(nvml: Nvml, device: Handle, gpu: GpuUuid) -> GpuState:
    """Never fails."""
    asked = _Questions()
    number = asked.ask(lambda: nvml.device_get_recovery_action(device))
    rows = asked.ask(lambda: nvml.device_get_remapped_rows(device))
    retirement_pending = asked.ask(lambda: nvml.device_get_retired_pages_pending(device))
    uncorrectable = asked.ask(lambda: nvml.device_get_uncorrected_ecc_errors(device))
    reasons = asked.ask(lambda: nvml.device_get_clocks_event_reasons(device), is_advice=True)
    fabric = asked.ask(lambda: nvml.device_get_fabric_health(device), is_advice=True)
    return GpuState(
        gpu=gpu,
        lost=asked.is_lost,
        recovery_action=RecoveryAction.RESET if asked.needs_reset else _action(number),
        remap_pending=None if rows is None else rows.pending,
        remap_failed=None if rows is None else rows.failed,
        retirement_pending=retirement_pending,
        uncorrectable=uncorrectable,
        throttled=tuple(name for bit, name in BRAKES.items() if (reasons or 0) & bit),
        fabric=() if fabric is None else tuple(_fabric_troubles(fabric)),
        fault=asked.fault or _unknown_action(number),
    )


def _fabric_troubles(fabric: FabricHealth) -> Iterator[str]:
    """Recoveries that are under way are no trouble yet."""
    if fabric.state in UNFINISHED:
        yield UNFINISHED[fabric.state]
    if fabric.state == COMPLETED and fabric.status:
        yield f"its registration at the NVLink fabric failed with nvmlReturn_t {fabric.status}"
    yield from (what for shift, what in FABRIC_TROUBLES.items() if fabric.mask >> shift & 3 == 1)
    if fabric.mask >> 8 & 15 > 1:
        yield f"its configuration does not fit the NVLink fabric (reason {fabric.mask >> 8 & 15} of NVML)"


class _Questions:
    """Asks one GPU, and remembers what its errors say."""

    def __init__(self) -> None:
        self.is_lost = False
        self.needs_reset = False
        self.fault: str | None = None

    def ask(self, question: Callable[[], Answer], *, is_advice: bool = False) -> Answer | None:
        """None where there is no answer. A lost GPU is not asked again: each call may take long.

        is_advice: what takes no GPU away. That it is not given is no fault, which would keep a GPU out.
        """
        if self.is_lost:
            return None
        try:
            return question()
        except NvmlError as error:
            self.is_lost = error.code in LOST
            self.needs_reset |= error.code == RESET_REQUIRED
            if error.code not in ABSENT and (self.is_lost or not is_advice):
                self.fault = self.fault or str(error)
            return None


def _action(number: int | None) -> RecoveryAction | None:
    return None if number is None else RECOVERY_ACTIONS.get(number)


def _unknown_action(number: int | None) -> str | None:
    if number is None or number in RECOVERY_ACTIONS:
        return None
    return f"the driver asks for recovery action {number}, which is none of those of a single GPU"
