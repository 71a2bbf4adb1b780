"""Observations about the health of GPUs, as frozen values. `health` evaluates them.

Sources: NVML API reference (events, field values, remapped rows, retired pages), NVIDIA Xid errors.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from gpu_core.domain.inventory import GpuUuid
from node_core.domain.pci import PciAddress


class RecoveryAction(StrEnum):
    """NVML_FI_DEV_GET_GPU_RECOVERY_ACTION (field 230): the recovery that the driver requests for a GPU."""

    NONE = "none"
    RESET = "reset"
    REBOOT = "reboot"
    DRAIN_P2P = "drain-p2p"
    DRAIN_RESET = "drain-reset"


class XidEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One Xid, or several equal Xids. gpu or address: whichever the source reports. gpu_instance, compute_instance: of a MIG device.

    count: the number of Xids. at: monotonic seconds, of the last Xid.
    """

    xid: int
    gpu: GpuUuid | None = None
    address: PciAddress | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    source: Literal["nvml", "kernel log"] = "nvml"
    at: float = 0.0
    count: int = 1


class GpuState(msgspec.Struct, frozen=True, kw_only=True):
    """The polled state of a GPU. None: not supported (an older driver, a board without the feature), or the query failed, see fault.

    lost: calls return GPU_IS_LOST or time out. uncorrectable: volatile uncorrectable ECC errors since the driver was loaded.
    throttled: names of active thermal and power brakes, for information only. nvlinks: active NVLinks; None in MIG mode.
    fabric: a sentence for each problem of the GPU in the NVLink fabric. missing_nodes: paths of device nodes that should exist.
    fault: the first failed query, call and code. The field of that query is None and must not be read as healthy.
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
