"""The NVML calls that this project uses, as a protocol with plain values. The real library and the simulation implement the protocol.

Every call may raise `errors.NvmlError`, whose code is the nvmlReturn_t name without its prefix: `NOT_SUPPORTED`, `GPU_IS_LOST`, ...
Method names are NVML's, without `nvml` and in snake case. Source: NVML API reference, device queries and MIG management.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import IntFlag
from typing import Any, Protocol

import msgspec

from gpu_core.domain.inventory import Fabric, MigAttributes
from gpu_core.nvml.mig_api import MIG_FUNCTIONS, MigNvml
from gpu_core.nvml.usage_api import USAGE_FUNCTIONS, UsageNvml

Handle = Any
"""An opaque nvmlDevice_t, valid within one session."""
EventSet = Any
"""An opaque nvmlEventSet_t of one session."""

NOT_SUPPORTED = "NOT_SUPPORTED"
GPU_IS_LOST = "GPU_IS_LOST"
NOT_FOUND = "NOT_FOUND"
LIBRARY_NOT_FOUND = "LIBRARY_NOT_FOUND"
DRIVER_NOT_LOADED = "DRIVER_NOT_LOADED"
FUNCTION_NOT_FOUND = "FUNCTION_NOT_FOUND"
RESET_REQUIRED = "RESET_REQUIRED"
TIMEOUT = "TIMEOUT"
ABSENT = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND})
"""Codes for a feature that the board or driver does not have. Such a result is not a failure."""


class GpuInstanceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of nvmlGpuInstanceProfileInfo_t and nvmlComputeInstanceProfileInfo_t behind a MIG device; see `domain.mig`.

    These are the numbers of NVML_GPU_INSTANCE_PROFILE_* and NVML_COMPUTE_INSTANCE_PROFILE_*, which are the same on every board. They are
    not the board-specific ids that `nvidia-smi mig -lgip` prints. start: the first memory slice, of nvmlGpuInstancePlacement_t.
    """

    gpu_instance_profile: int
    compute_instance_profile: int
    start: int


class NvLinks(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU's active NVLinks. remotes: for each link to a GPU, the bus id of that GPU. switched: the number of links to a switch."""

    remotes: tuple[str, ...] = ()
    switched: int = 0

    @property
    def count(self) -> int:
        return len(self.remotes) + self.switched


class EventType(IntFlag):
    """nvmlEventType*: the event types that this project uses."""

    SINGLE_BIT_ECC = 0x1
    DOUBLE_BIT_ECC = 0x2
    XID = 0x8
    MIG_CONFIG = 0x100
    GPU_UNAVAILABLE = 0x4000
    RECOVERY_ACTION = 0x8000


class NvmlEvent(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlEventData_t. device: the registered handle. type: a bit of EventType. data: the Xid, for an Xid event.

    gpu_instance, compute_instance: of the affected MIG device; None if NVML reports 0xFFFFFFFF.
    """

    device: Handle
    type: int
    data: int
    gpu_instance: int | None = None
    compute_instance: int | None = None


class RemappedRows(msgspec.Struct, frozen=True, kw_only=True):
    """pending: a memory row will be remapped at the next reset. failed: the remapping of a row failed."""

    pending: bool
    failed: bool


class FabricHealth(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlGpuFabricInfoV_t. state: NVML_GPU_FABRIC_STATE_*. status: an nvmlReturn_t, valid if the state is completed. mask: healthMask."""

    state: int
    status: int
    mask: int


class Nvml(UsageNvml, MigNvml, Protocol):
    """One initialised NVML session. The calls about live use are in `usage_api`, those about MIG layouts in `mig_api`."""

    def system_get_driver_version(self) -> str:
        """`550.54.15`."""
        ...

    def system_get_cuda_driver_version(self) -> int:
        """1000 * major + 10 * minor."""
        ...

    def device_get_count(self) -> int: ...

    def device_get_handle_by_index(self, index: int) -> Handle: ...

    def device_get_uuid(self, device: Handle) -> str:
        """`GPU-…`, or `MIG-…` for the handle of a MIG device."""
        ...

    def device_get_name(self, device: Handle) -> str: ...

    def device_get_brand(self, device: Handle) -> int:
        """One of NVML_BRAND_*."""
        ...

    def device_get_addressing_mode(self, device: Handle) -> int:
        """One of NVML_DEVICE_ADDRESSING_MODE_*. Raises FUNCTION_NOT_FOUND with drivers before 575."""
        ...

    def device_get_minor_number(self, device: Handle) -> int: ...

    def device_get_bus_id(self, device: Handle) -> str:
        """The busId of nvmlDeviceGetPciInfo, `00000000:17:00.0`, with eight domain digits and in NVML's case."""
        ...

    def device_get_memory_total(self, device: Handle) -> int:
        """Bytes."""
        ...

    def device_get_cuda_compute_capability(self, device: Handle) -> tuple[int, int]: ...

    def device_get_mig_mode(self, device: Handle) -> bool:
        """The current mode, not the pending one."""
        ...

    def device_get_max_mig_device_count(self, device: Handle) -> int: ...

    def device_get_mig_device_handle_by_index(self, device: Handle, slot: int) -> Handle:
        """Raises NOT_FOUND for an empty slot."""
        ...

    def device_get_gpu_instance_id(self, mig_device: Handle) -> int: ...

    def device_get_compute_instance_id(self, mig_device: Handle) -> int: ...

    def device_get_attributes(self, mig_device: Handle) -> MigAttributes: ...

    def device_get_mig_profile(self, device: Handle, mig_device: Handle) -> GpuInstanceProfile:
        """The profile ids of a MIG device's GPU instance and compute instance (nvmlGpuInstanceGetInfo, nvmlComputeInstanceGetInfo)."""
        ...

    def device_get_fabric(self, device: Handle) -> Fabric | None:
        """None unless the GPU is attached to a fabric: state completed, status success, and a non-zero cluster UUID."""
        ...

    def device_get_fabric_health(self, device: Handle) -> FabricHealth:
        """Raises NOT_SUPPORTED on boards without a fabric and with older drivers."""
        ...

    def device_get_nvlinks(self, device: Handle) -> NvLinks: ...

    def device_get_topology_common_ancestor(self, device: Handle, other: Handle) -> int:
        """One of nvmlGpuTopologyLevel_t: the common ancestor of two GPUs in the PCI topology."""
        ...

    def device_get_recovery_action(self, device: Handle) -> int:
        """Field 230, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, one of NVML_GPU_RECOVERY_ACTION_*. Raises NOT_SUPPORTED with older drivers."""
        ...

    def device_get_remapped_rows(self, device: Handle) -> RemappedRows: ...

    def device_get_retired_pages_pending(self, device: Handle) -> bool: ...

    def device_get_uncorrected_ecc_errors(self, device: Handle) -> int:
        """The number of errors since the driver was loaded (NVML_VOLATILE_ECC)."""
        ...

    def device_get_clocks_event_reasons(self, device: Handle) -> int:
        """Bits of nvmlClocksEventReason*: the reasons that reduce the clocks at present."""
        ...

    def device_get_supported_event_types(self, device: Handle) -> int:
        """Bits of EventType, and of other event types."""
        ...

    def event_set_create(self) -> EventSet: ...

    def event_set_free(self, events: EventSet) -> None: ...

    def device_register_events(self, device: Handle, types: int, events: EventSet) -> None: ...

    def event_set_wait(self, events: EventSet, milliseconds: int) -> NvmlEvent | None:
        """Waits for an event of a registered GPU. Returns None after the timeout."""
        ...


OpenNvml = Callable[[], AbstractContextManager[Nvml]]
"""Initialises NVML on entry (nvmlInit_v2) and shuts it down on exit. Entry raises NvmlError, e.g. LIBRARY_NOT_FOUND."""

FUNCTIONS: Mapping[str, str] = {
    **USAGE_FUNCTIONS,
    **MIG_FUNCTIONS,
    "system_get_driver_version": "nvmlSystemGetDriverVersion",
    "system_get_cuda_driver_version": "nvmlSystemGetCudaDriverVersion",
    "device_get_count": "nvmlDeviceGetCount",
    "device_get_handle_by_index": "nvmlDeviceGetHandleByIndex",
    "device_get_uuid": "nvmlDeviceGetUUID",
    "device_get_name": "nvmlDeviceGetName",
    "device_get_brand": "nvmlDeviceGetBrand",
    "device_get_addressing_mode": "nvmlDeviceGetAddressingMode",
    "device_get_minor_number": "nvmlDeviceGetMinorNumber",
    "device_get_bus_id": "nvmlDeviceGetPciInfo",
    "device_get_memory_total": "nvmlDeviceGetMemoryInfo",
    "device_get_cuda_compute_capability": "nvmlDeviceGetCudaComputeCapability",
    "device_get_mig_mode": "nvmlDeviceGetMigMode",
    "device_get_max_mig_device_count": "nvmlDeviceGetMaxMigDeviceCount",
    "device_get_mig_device_handle_by_index": "nvmlDeviceGetMigDeviceHandleByIndex",
    "device_get_gpu_instance_id": "nvmlDeviceGetGpuInstanceId",
    "device_get_compute_instance_id": "nvmlDeviceGetComputeInstanceId",
    "device_get_attributes": "nvmlDeviceGetAttributes",
    "device_get_mig_profile": "nvmlGpuInstanceGetInfo",
    "device_get_fabric": "nvmlDeviceGetGpuFabricInfo",
    "device_get_fabric_health": "nvmlDeviceGetGpuFabricInfoV",
    "device_get_nvlinks": "nvmlDeviceGetNvLinkState",
    "device_get_topology_common_ancestor": "nvmlDeviceGetTopologyCommonAncestor",
    "device_get_recovery_action": "nvmlDeviceGetFieldValues",
    "device_get_remapped_rows": "nvmlDeviceGetRemappedRows",
    "device_get_retired_pages_pending": "nvmlDeviceGetRetiredPagesPendingStatus",
    "device_get_uncorrected_ecc_errors": "nvmlDeviceGetTotalEccErrors",
    "device_get_clocks_event_reasons": "nvmlDeviceGetCurrentClocksEventReasons",
    "device_get_supported_event_types": "nvmlDeviceGetSupportedEventTypes",
    "event_set_create": "nvmlEventSetCreate",
    "event_set_free": "nvmlEventSetFree",
    "device_register_events": "nvmlDeviceRegisterEvents",
    "event_set_wait": "nvmlEventSetWait_v2",
}
"""Method of `Nvml` -> the NVML function whose result decides whether the method succeeds, for messages and scenarios."""
