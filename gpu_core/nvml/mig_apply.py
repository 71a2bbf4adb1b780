"""Applies a plan to one GPU as a transaction: after a failure, the previous layout is restored.

The caller checks that no pod uses what the plan destroys. NVML refuses to destroy a compute instance that a process uses.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.model import GpuInstance, MigGpu
from gpu_core.mig.plan import GpuPlan, Layout, NewInstance, plan_restore, read_layout
from gpu_core.nvml.api import GPU_IS_LOST, NOT_FOUND, Handle, Nvml
from gpu_core.nvml.mig_api import GpuInstanceHandle, InstanceInfo
from gpu_core.nvml.mig_reader import read_mig_gpu
from node_core.errors import MigError, NvmlError

log = structlog.get_logger(__name__)

T = TypeVar("T")


def apply_plan(nvml: Nvml, plan: GpuPlan) -> bool:
    """Applies the plan to its GPU. Returns False if the GPU must be reset before the new MIG mode is active; nothing is created then.

    Raises MigError after a failure. The message states whether the previous layout is restored.
    """
    before = read_layout(plan.gpu)
    try:
        return _apply(nvml, plan)
    except NvmlError as error:
        raise MigError(f"{plan.gpu.name}: {error}; {_roll_back(nvml, plan.gpu.uuid, before)}") from error


def restore_layout(nvml: Nvml, uuid: GpuUuid, layout: Layout) -> bool:
    """Makes the layout of a GPU equal to a recorded layout. Returns False as `apply_plan` does. Raises MigError or NvmlError."""
    device, index = _find_device(nvml, uuid)
    gpu = read_mig_gpu(nvml, device, index)
    if gpu is None:
        raise MigError(f"{uuid} does not support MIG any more")
    return _apply(nvml, plan_restore(gpu, layout))


def _roll_back(nvml: Nvml, uuid: GpuUuid, before: Layout) -> str:
    """Returns a clause about the result."""
    try:
        is_complete = restore_layout(nvml, uuid, before)
    except (NvmlError, MigError) as error:
        log.warning("mig_rollback_failed", gpu=uuid, why=str(error))
        return f"the previous layout is not restored: {error}"
    return "the previous layout is restored" if is_complete else "the previous MIG mode needs a reset of the GPU"


def _apply(nvml: Nvml, plan: GpuPlan) -> bool:
    if plan.is_empty:
        return True
    device, _ = _find_device(nvml, plan.gpu.uuid)
    for id_, compute in plan.destroy_compute:
        parent = next(each for each in plan.gpu.instances if each.id == id_)
        _destroy_compute(nvml, _instance(nvml, device, plan.gpu, parent), compute.profile, compute.id)
    for instance in plan.destroy:
        _destroy(nvml, device, plan.gpu, instance)
    if plan.mode is not None and nvml.device_set_mig_mode(device, plan.mode) is not None:
        return False
    for new in plan.create:
        _create(nvml, device, plan.gpu, new)
    for id_, profile in plan.create_compute:
        parent = next(each for each in plan.gpu.instances if each.id == id_)
        _create_compute(nvml, _instance(nvml, device, plan.gpu, parent), profile)
    return True


def _destroy(nvml: Nvml, device: Handle, gpu: MigGpu, instance: GpuInstance) -> None:
    """Destroys the compute instances in the order that is the reverse of their creation, then the GPU instance."""
    handle = _instance(nvml, device, gpu, instance)
    for compute in reversed(instance.compute):
        _destroy_compute(nvml, handle, compute.profile, compute.id)
    nvml.gpu_instance_destroy(handle)


def _destroy_compute(nvml: Nvml, instance: GpuInstanceHandle, profile: int, id_: int) -> None:
    board_id = nvml.gpu_instance_get_compute_instance_profile_info(instance, profile).id
    handles = nvml.gpu_instance_get_compute_instances(instance, board_id)
    nvml.compute_instance_destroy(
        _find(handles, nvml.compute_instance_get_info, id_, "nvmlGpuInstanceGetComputeInstances")
    )


def _create(nvml: Nvml, device: Handle, gpu: MigGpu, new: NewInstance) -> None:
    handle = nvml.device_create_gpu_instance(device, _board_id(nvml, device, gpu, new.profile), new.placement)
    for profile in new.compute:
        _create_compute(nvml, handle, profile)


def _create_compute(nvml: Nvml, instance: GpuInstanceHandle, profile: int) -> None:
    board_id = nvml.gpu_instance_get_compute_instance_profile_info(instance, profile).id
    nvml.gpu_instance_create_compute_instance(instance, board_id)


def _find_device(nvml: Nvml, uuid: GpuUuid) -> tuple[Handle, int]:
    """Returns the handle and the index of a GPU. The index may have changed since the GPU was read."""
    for index in range(nvml.device_get_count()):
        with suppress(NvmlError):
            device = nvml.device_get_handle_by_index(index)
            if nvml.device_get_uuid(device) == uuid:
                return device, index
    raise NvmlError("nvmlDeviceGetHandleByIndex", GPU_IS_LOST, hint=f"{uuid} is not among the GPUs of the driver")


def _instance(nvml: Nvml, device: Handle, gpu: MigGpu, instance: GpuInstance) -> GpuInstanceHandle:
    board_id = _board_id(nvml, device, gpu, instance.profile)
    handles = nvml.device_get_gpu_instances(device, board_id)
    return _find(handles, nvml.gpu_instance_get_info, instance.id, "nvmlDeviceGetGpuInstances")


def _board_id(nvml: Nvml, device: Handle, gpu: MigGpu, number: int) -> int:
    known = gpu.profile(number)
    return nvml.device_get_gpu_instance_profile_info(device, number).id if known is None else known.board_id


def _find(handles: "tuple[T, ...]", info: Callable[[T], InstanceInfo], id_: int, call: str) -> T:
    """Returns the handle of an instance. Raises NvmlError NOT_FOUND if the instance does not exist any more."""
    for handle in handles:
        if info(handle).id == id_:
            return handle
    raise NvmlError(call, NOT_FOUND, hint=f"the instance {id_} does not exist any more")
