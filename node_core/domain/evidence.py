"""What speaks for or against the health of GPUs, as frozen values. Nothing here decides; see `health`.

Sources: NVML API reference (events, field values, remapped rows, retired pages), NVIDIA Xid errors.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from node_core.domain.inventory import GpuUuid, PciAddress


class RecoveryAction(StrEnum):
    """NVML_FI_DEV_GET_GPU_RECOVERY_ACTION (field 230): what the driver says a GPU needs."""

    NONE = "none"
    RESET = "reset"
    REBOOT = "reboot"
    DRAIN_P2P = "drain-p2p"
    DRAIN_RESET = "drain-reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class XidEvent:
    """One Xid. gpu or address: whichever the source names. gpu_instance, compute_instance: where NVML narrows it to a MIG device.

    at: monotonic seconds; of the last one, where count of them were folded into one.
    """

    xid: int
    gpu: GpuUuid | None = None
    address: PciAddress | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    source: Literal["nvml", "kernel log"] = "nvml"
    at: float = 0.0
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """What a GPU says of itself when it is asked. None: it does not say (an older driver, a board without the feature).

    lost: calls answer GPU_IS_LOST or time out. uncorrectable: volatile uncorrectable ECC errors since the driver was loaded.
    throttled: thermal or power brakes, for information only. nvlinks: how many are up; None in MIG mode, where that means nothing.
    fabric: a sentence for each thing that is wrong with its place in the NVLink fabric.
    fault: a question that should have an answer and failed, call and code;
    what it asks for is then None and says nothing.
    """

    gpu: GpuUuid
    lost: bool = False
    recovery_action: RecoveryAction | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retirement_pending: bool | None = None
    uncorrectable: int | None = None
    throttled: tuple[str, ...] = ()
    nvlinks: int | None = None
    fabric: tuple[str, ...] = ()
    missing_nodes: tuple[str, ...] = ()
    fault: str | None = None
