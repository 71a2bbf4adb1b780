"""The NVML calls that read and change MIG layouts: a part of `api.Nvml`.

Each call may raise NvmlError; see `api`. Creating and destroying needs root: NO_PERMISSION otherwise.
Source: NVML API reference, Multi Instance GPU management.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from gpu_core.mig.model import Engines, Placement

Handle = Any
"""See `api.Handle`."""
GpuInstanceHandle = Any
"""An opaque nvmlGpuInstance_t of one session."""
ComputeInstanceHandle = Any
"""An opaque nvmlComputeInstance_t of one session."""

IN_USE = "IN_USE"
INSUFFICIENT_RESOURCES = "INSUFFICIENT_RESOURCES"
NO_PERMISSION = "NO_PERMISSION"


class InstanceProfileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlGpuInstanceProfileInfo_t, or nvmlComputeInstanceProfileInfo_t without memory. id: the id of the profile on this board."""

    id: int
    slices: int
    max_count: int
    engines: Engines
    memory_mib: int = 0


class InstanceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlGpuInstanceInfo_t or nvmlComputeInstanceInfo_t. profile_id: the id of the profile on this board."""

    id: int
    profile_id: int
    placement: Placement


class MigNvml(Protocol):
    def device_get_pending_mig_mode(self, device: Handle) -> bool:
        """The mode after the next reset of the GPU (nvmlDeviceGetMigMode)."""
        ...

    def device_get_pci_ids(self, device: Handle) -> tuple[int, int]:
        """pciDeviceId and pciSubSystemId of nvmlDeviceGetPciInfo: device in the upper 16 bits, vendor in the lower ones."""
        ...

    def device_set_mig_mode(self, device: Handle, enabled: bool) -> str | None:
        """Returns None if the mode is active, otherwise the activation status: RESET_REQUIRED or IN_USE. The mode is then pending.

        Turning the mode off with GPU instances present raises IN_USE.
        """
        ...

    def device_get_gpu_instance_profile_info(self, device: Handle, number: int) -> InstanceProfileInfo:
        """number: NVML_GPU_INSTANCE_PROFILE_*. Raises NOT_SUPPORTED or INVALID_ARGUMENT for a profile that the GPU does not have."""
        ...

    def device_get_gpu_instance_possible_placements(self, device: Handle, profile_id: int) -> tuple[Placement, ...]:
        """The placements on an empty GPU, in MIG mode or not."""
        ...

    def device_get_gpu_instances(self, device: Handle, profile_id: int) -> tuple[GpuInstanceHandle, ...]: ...

    def device_create_gpu_instance(self, device: Handle, profile_id: int, placement: Placement) -> GpuInstanceHandle:
        """nvmlDeviceCreateGpuInstanceWithPlacement. Raises INSUFFICIENT_RESOURCES if the placement is not free."""
        ...

    def gpu_instance_get_info(self, instance: GpuInstanceHandle) -> InstanceInfo: ...

    def gpu_instance_destroy(self, instance: GpuInstanceHandle) -> None:
        """Raises IN_USE while a compute instance exists."""
        ...

    def gpu_instance_get_compute_instance_profile_info(
        self, instance: GpuInstanceHandle, number: int
    ) -> InstanceProfileInfo:
        """number: NVML_COMPUTE_INSTANCE_PROFILE_*. Raises NOT_SUPPORTED or INVALID_ARGUMENT for an unsupported profile."""
        ...

    def gpu_instance_get_compute_instances(
        self, instance: GpuInstanceHandle, profile_id: int
    ) -> tuple[ComputeInstanceHandle, ...]: ...

    def gpu_instance_create_compute_instance(
        self, instance: GpuInstanceHandle, profile_id: int
    ) -> ComputeInstanceHandle:
        """Raises INSUFFICIENT_RESOURCES if the GPU instance has too few free slices."""
        ...

    def compute_instance_get_info(self, instance: ComputeInstanceHandle) -> InstanceInfo: ...

    def compute_instance_destroy(self, instance: ComputeInstanceHandle) -> None:
        """Raises IN_USE while a process uses the compute instance."""
        ...


MIG_FUNCTIONS: Mapping[str, str] = {
    "device_get_pending_mig_mode": "nvmlDeviceGetMigMode",
    "device_get_pci_ids": "nvmlDeviceGetPciInfo",
    "device_set_mig_mode": "nvmlDeviceSetMigMode",
    "device_get_gpu_instance_profile_info": "nvmlDeviceGetGpuInstanceProfileInfo",
    "device_get_gpu_instance_possible_placements": "nvmlDeviceGetGpuInstancePossiblePlacements",
    "device_get_gpu_instances": "nvmlDeviceGetGpuInstances",
    "device_create_gpu_instance": "nvmlDeviceCreateGpuInstanceWithPlacement",
    "gpu_instance_get_info": "nvmlGpuInstanceGetInfo",
    "gpu_instance_destroy": "nvmlGpuInstanceDestroy",
    "gpu_instance_get_compute_instance_profile_info": "nvmlGpuInstanceGetComputeInstanceProfileInfo",
    "gpu_instance_get_compute_instances": "nvmlGpuInstanceGetComputeInstances",
    "gpu_instance_create_compute_instance": "nvmlGpuInstanceCreateComputeInstance",
    "compute_instance_get_info": "nvmlComputeInstanceGetInfo",
    "compute_instance_destroy": "nvmlComputeInstanceDestroy",
}
"""See `api.FUNCTIONS`."""
