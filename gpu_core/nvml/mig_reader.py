"""Reads the MIG layout and the MIG profiles of each GPU through NVML. A GPU that cannot be read does not hide the others."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from gpu_core.domain.inventory import Fault, GpuUuid, MigUuid
from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES
from gpu_core.mig.compute import compute_profiles
from gpu_core.mig.model import ComputeInstance, GpuInstance, InstanceProfile, MigGpu
from gpu_core.nvml.api import ABSENT, NOT_FOUND, Handle, Nvml
from gpu_core.nvml.inventory import parse_bus_id, query_optional
from gpu_core.nvml.mig_api import GpuInstanceHandle, InstanceProfileInfo
from node_core.errors import NvmlError

Result = TypeVar("Result")
ProfileInfos = Mapping[int, InstanceProfileInfo]
"""NVML_GPU_INSTANCE_PROFILE_* -> profile, without profiles that the GPU does not support."""

HOPPER = (9, 0)
"""The compute capability from which the MIG mode changes without a reset. Source: NVIDIA MIG user guide, Enable MIG Mode."""
_NOT_PRESENT = ABSENT | {NOT_FOUND, "INVALID_ARGUMENT"}


def read_mig_gpus(nvml: Nvml) -> tuple[tuple[MigGpu, ...], tuple[Fault, ...]]:
    """The GPUs that support MIG, and the GPUs that cannot be read. Raises NvmlError if NVML does not report the number of GPUs."""
    found = [_read(nvml, index) for index in range(nvml.device_get_count())]
    gpus = tuple(each for each in found if isinstance(each, MigGpu))
    return gpus, tuple(each for each in found if isinstance(each, Fault))


def _read(nvml: Nvml, index: int) -> MigGpu | Fault | None:
    """None for a GPU without MIG."""
    uuid = None
    try:
        device = nvml.device_get_handle_by_index(index)
        uuid = GpuUuid(nvml.device_get_uuid(device))
        return read_mig_gpu(nvml, device, index)
    except NvmlError as error:
        return Fault(index=index, uuid=uuid, reason=str(error))


def read_mig_gpu(nvml: Nvml, device: Handle, index: int) -> MigGpu | None:
    """Reads one GPU; None if the GPU does not support MIG. Raises NvmlError."""
    is_enabled = query_optional(lambda: nvml.device_get_mig_mode(device))
    if is_enabled is None:
        return None
    bus_id = query_optional(lambda: nvml.device_get_bus_id(device))
    pci_ids = query_optional(lambda: nvml.device_get_pci_ids(device))
    compute = query_optional(lambda: nvml.device_get_cuda_compute_capability(device))
    total_memory = query_optional(lambda: nvml.device_get_memory_total(device)) or 0
    infos = _profile_infos(nvml, device)
    return MigGpu(
        index=index,
        uuid=GpuUuid(nvml.device_get_uuid(device)),
        model=nvml.device_get_name(device),
        address=None if bus_id is None else parse_bus_id(bus_id),
        pci_id=None if pci_ids is None else f"0x{pci_ids[0]:08X}",
        pci_subsystem=None if pci_ids is None else f"0x{pci_ids[1]:08X}",
        is_enabled=is_enabled,
        is_pending=nvml.device_get_pending_mig_mode(device),
        total_memory=total_memory,
        profiles=_read_profiles(nvml, device, infos, total_memory),
        instances=_read_instances(nvml, device, infos) if is_enabled else (),
        needs_reset=compute is None or compute < HOPPER,
    )


def _read_profiles(nvml: Nvml, device: Handle, infos: ProfileInfos, total_memory: int) -> tuple[InstanceProfile, ...]:
    profiles = (_read_profile(nvml, device, number, info, total_memory) for number, info in infos.items())
    named = (profile for profile in profiles if profile is not None)
    return tuple(sorted(named, key=lambda profile: (profile.slices, profile.memory_mib, profile.name)))


def _read_profile(
    nvml: Nvml, device: Handle, number: int, info: InstanceProfileInfo, total_memory: int
) -> InstanceProfile | None:
    """None for a profile that has no name, because the memory of the GPU is unknown."""
    compute = compute_profiles(number, info.slices, info.memory_mib, total_memory)
    if not compute:
        return None
    return InstanceProfile(
        number=number,
        board_id=info.id,
        name=compute[-1].name,
        slices=info.slices,
        memory_mib=info.memory_mib,
        engines=info.engines,
        max_count=info.max_count,
        placements=tuple(sorted(nvml.device_get_gpu_instance_possible_placements(device, info.id))),
        compute=compute,
    )


def _read_instances(nvml: Nvml, device: Handle, infos: ProfileInfos) -> tuple[GpuInstance, ...]:
    """Raises NOT_FOUND if a MIG device belongs to a GPU instance with a profile that this project does not know."""
    uuids = _read_uuids(nvml, device)
    instances = [
        _read_instance(nvml, number, handle, uuids)
        for number, info in infos.items()
        for handle in nvml.device_get_gpu_instances(device, info.id)
    ]
    if unknown := {gpu_instance for gpu_instance, _ in uuids} - {each.id for each in instances}:
        raise NvmlError(
            "nvmlDeviceGetGpuInstances", NOT_FOUND, hint=f"the profile of GPU instance {min(unknown)} is unknown"
        )
    return tuple(sorted(instances, key=lambda each: each.id))


def _read_uuids(nvml: Nvml, device: Handle) -> Mapping[tuple[int, int], MigUuid]:
    """GPU instance id and compute instance id -> MIG device."""
    uuids = {}
    for slot in range(nvml.device_get_max_mig_device_count(device)):
        mig = _read_present(partial(nvml.device_get_mig_device_handle_by_index, device, slot))
        if mig is not None:
            key = nvml.device_get_gpu_instance_id(mig), nvml.device_get_compute_instance_id(mig)
            uuids[key] = MigUuid(nvml.device_get_uuid(mig))
    return uuids


def _read_instance(
    nvml: Nvml, number: int, handle: GpuInstanceHandle, uuids: Mapping[tuple[int, int], MigUuid]
) -> GpuInstance:
    info = nvml.gpu_instance_get_info(handle)
    found: dict[int, int] = {}
    for profile in COMPUTE_INSTANCE_SLICES:
        for each in _read_compute_ids(nvml, handle, profile):
            found.setdefault(each, profile)
    compute = (
        ComputeInstance(id=each, profile=profile, uuid=uuids.get((info.id, each))) for each, profile in found.items()
    )
    return GpuInstance(
        id=info.id,
        profile=number,
        placement=info.placement,
        compute=tuple(sorted(compute, key=lambda each: each.id)),
    )


def _read_compute_ids(nvml: Nvml, handle: GpuInstanceHandle, number: int) -> list[int]:
    """The ids of the compute instances of one profile."""
    profile = _read_present(partial(nvml.gpu_instance_get_compute_instance_profile_info, handle, number))
    if profile is None:
        return []
    instances = nvml.gpu_instance_get_compute_instances(handle, profile.id)
    return [nvml.compute_instance_get_info(each).id for each in instances]


def _profile_infos(nvml: Nvml, device: Handle) -> ProfileInfos:
    infos = {
        number: _read_present(partial(nvml.device_get_gpu_instance_profile_info, device, number))
        for number in GPU_INSTANCE_SLICES
    }
    return {number: info for number, info in infos.items() if info is not None}


def _read_present(query: Callable[[], Result]) -> Result | None:
    """None for a profile or a MIG device that the GPU does not have. Raises NvmlError."""
    try:
        return query()
    except NvmlError as error:
        if error.code in _NOT_PRESENT:
            return None
        raise
