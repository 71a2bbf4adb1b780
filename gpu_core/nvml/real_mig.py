"""The calls of `Nvml` that read and change MIG layouts.

Source: NVML API reference, Multi Instance GPU management. The first version of the profile structures has all values that are used, and
every driver with MIG supports this version.
"""

import ctypes
from typing import Any

from gpu_core.mig.model import Engines, Placement
from gpu_core.nvml.api import Handle
from gpu_core.nvml.calls import Calls
from gpu_core.nvml.mig_api import ComputeInstanceHandle, GpuInstanceHandle, InstanceInfo, InstanceProfileInfo

_SUCCESS = 0
_FIRST_VERSION = 1
_SHARED_ENGINES = 0  # NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, the only engine profile
_MAX_INSTANCES = 64
"""The size of arrays that NVML fills. No GPU has as many instances of a profile, or placements."""


class MigCalls(Calls):
    def device_get_pending_mig_mode(self, device: Handle) -> bool:
        _current, pending = self.call("nvmlDeviceGetMigMode", device)
        return bool(pending)

    def device_get_pci_ids(self, device: Handle) -> tuple[int, int]:
        info = self.call("nvmlDeviceGetPciInfo", device)
        return int(info.pciDeviceId), int(info.pciSubSystemId)

    def device_set_mig_mode(self, device: Handle, enabled: bool) -> str | None:
        status = self.call("nvmlDeviceSetMigMode", device, int(enabled))
        return None if status == _SUCCESS else self._code(status)

    def device_get_gpu_instance_profile_info(self, device: Handle, number: int) -> InstanceProfileInfo:
        info = self.call("nvmlDeviceGetGpuInstanceProfileInfo", device, number, _FIRST_VERSION)
        return InstanceProfileInfo(
            id=int(info.id),
            slices=int(info.sliceCount),
            max_count=int(info.instanceCount),
            engines=Engines(
                multiprocessors=int(info.multiprocessorCount),
                copy=int(info.copyEngineCount),
                decoders=int(info.decoderCount),
                encoders=int(info.encoderCount),
                jpeg=int(info.jpegCount),
                ofa=int(info.ofaCount),
            ),
            memory_mib=int(info.memorySizeMB),
        )

    def device_get_gpu_instance_possible_placements(self, device: Handle, profile_id: int) -> tuple[Placement, ...]:
        kind = self._pynvml.c_nvmlGpuInstancePlacement_t
        found = self._list("nvmlDeviceGetGpuInstancePossiblePlacements", kind, device, profile_id)
        return tuple(sorted(map(_placement, found)))

    def device_get_gpu_instances(self, device: Handle, profile_id: int) -> tuple[GpuInstanceHandle, ...]:
        return self._list("nvmlDeviceGetGpuInstances", self._pynvml.c_nvmlGpuInstance_t, device, profile_id)

    def device_create_gpu_instance(self, device: Handle, profile_id: int, placement: Placement) -> GpuInstanceHandle:
        raw = self._pynvml.c_nvmlGpuInstancePlacement_t(start=placement.start, size=placement.size)
        return self.call("nvmlDeviceCreateGpuInstanceWithPlacement", device, profile_id, ctypes.byref(raw))

    def gpu_instance_get_info(self, instance: GpuInstanceHandle) -> InstanceInfo:
        return _instance(self.call("nvmlGpuInstanceGetInfo", instance))

    def gpu_instance_destroy(self, instance: GpuInstanceHandle) -> None:
        self.call("nvmlGpuInstanceDestroy", instance)

    def gpu_instance_get_compute_instance_profile_info(
        self, instance: GpuInstanceHandle, number: int
    ) -> InstanceProfileInfo:
        name = "nvmlGpuInstanceGetComputeInstanceProfileInfo"
        info = self.call(name, instance, number, _SHARED_ENGINES, _FIRST_VERSION)
        return InstanceProfileInfo(
            id=int(info.id),
            slices=int(info.sliceCount),
            max_count=int(info.instanceCount),
            engines=Engines(
                multiprocessors=int(info.multiprocessorCount),
                copy=int(info.sharedCopyEngineCount),
                decoders=int(info.sharedDecoderCount),
                encoders=int(info.sharedEncoderCount),
                jpeg=int(info.sharedJpegCount),
                ofa=int(info.sharedOfaCount),
            ),
        )

    def gpu_instance_get_compute_instances(
        self, instance: GpuInstanceHandle, profile_id: int
    ) -> tuple[ComputeInstanceHandle, ...]:
        kind = self._pynvml.c_nvmlComputeInstance_t
        return self._list("nvmlGpuInstanceGetComputeInstances", kind, instance, profile_id)

    def gpu_instance_create_compute_instance(
        self, instance: GpuInstanceHandle, profile_id: int
    ) -> ComputeInstanceHandle:
        return self.call("nvmlGpuInstanceCreateComputeInstance", instance, profile_id)

    def compute_instance_get_info(self, instance: ComputeInstanceHandle) -> InstanceInfo:
        return _instance(self.call("nvmlComputeInstanceGetInfo", instance))

    def compute_instance_destroy(self, instance: ComputeInstanceHandle) -> None:
        self.call("nvmlComputeInstanceDestroy", instance)

    def _list(self, function: str, kind: Any, parent: Any, profile_id: int) -> tuple[Any, ...]:
        """The elements of an array that NVML fills. kind: the type of an element."""
        found, count = (kind * _MAX_INSTANCES)(), ctypes.c_uint(_MAX_INSTANCES)
        self.call(function, parent, profile_id, found, ctypes.byref(count))
        return tuple(found[: count.value])


def _instance(raw: Any) -> InstanceInfo:
    return InstanceInfo(id=int(raw.id), profile_id=int(raw.profileId), placement=_placement(raw.placement))


def _placement(raw: Any) -> Placement:
    return Placement(start=int(raw.start), size=int(raw.size))
