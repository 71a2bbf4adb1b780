"""What the driver does with the MIG mode, GPU instances and compute instances of a simulated GPU. PURE.

Each function returns the new state, or raises the NvmlError of the driver. Source: NVML API reference, Multi Instance GPU management.
"""

from gpu_core.domain.inventory import MigUuid
from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES
from gpu_core.mig.compute import COMPUTE_NUMBERS, COMPUTE_SLICES
from gpu_core.mig.model import Placement
from gpu_core.nvml.api import NOT_FOUND, NOT_SUPPORTED, RESET_REQUIRED
from gpu_core.nvml.mig_api import IN_USE, INSUFFICIENT_RESOURCES
from node_core.values import replace
from simulation.nvml.session import error_of
from simulation.scenarios.mig_layout import MigState, SimulatedInstance, SimulatedMig, next_instance_id
from simulation.scenarios.mig_placements import can_add
from simulation.scenarios.mig_profiles import BOARDS, Instance
from simulation.scenarios.scenario import SimulatedGpu

_AMPERE = 8
"""The major compute capability of GPUs whose MIG mode changes at a reset."""


def set_mode(gpu: SimulatedGpu, mig: MigState, *, enabled: bool) -> tuple[MigState, str | None]:
    """The new state and the activation status; see `MigNvml.device_set_mig_mode`."""
    if not enabled and mig.instances:
        raise error_of("device_set_mig_mode", IN_USE)
    pending = replace(mig, is_pending=enabled)
    if enabled == mig.is_enabled:
        return pending, None
    if gpu.use.processes:
        return pending, IN_USE
    if gpu.compute is not None and gpu.compute.major == _AMPERE:
        return pending, RESET_REQUIRED
    return replace(pending, is_enabled=enabled), None


def reset(mig: MigState) -> MigState:
    """The pending mode becomes current, and all instances are lost."""
    return replace(mig, is_enabled=mig.is_pending, instances=())


def create_instance(
    gpu: SimulatedGpu, mig: MigState, name: str, placement: Placement
) -> tuple[MigState, SimulatedInstance]:
    """name: of a profile of the board."""
    method, board = "device_create_gpu_instance", BOARDS[gpu.model]
    profile = board.profiles[name]
    if not mig.is_enabled:
        raise error_of(method, NOT_SUPPORTED)
    if not can_add(board, mig.placed, profile, placement):
        raise error_of(method, INSUFFICIENT_RESOURCES)
    number = next_instance_id(profile, {each.id for each in mig.instances})
    created = SimulatedInstance(id=number, profile_name=name, profile=profile, start=placement.start)
    return replace(mig, instances=_sorted(*mig.instances, created)), created


def destroy_instance(mig: MigState, number: int) -> MigState:
    method = "gpu_instance_destroy"
    instance = find_instance(method, mig, number)
    if instance.compute:
        raise error_of(method, IN_USE)
    return replace(mig, instances=tuple(each for each in mig.instances if each is not instance))


def create_compute(gpu: SimulatedGpu, mig: MigState, number: int, profile: int) -> tuple[MigState, SimulatedMig]:
    """number: of the GPU instance. profile: NVML_COMPUTE_INSTANCE_PROFILE_*."""
    method = "gpu_instance_create_compute_instance"
    instance = find_instance(method, mig, number)
    start, slot = _free_start(instance, COMPUTE_INSTANCE_SLICES[profile]), _free_slot(gpu, mig)
    if start is None or slot is None:
        raise error_of(method, INSUFFICIENT_RESOURCES)
    created = SimulatedMig(
        uuid=MigUuid(f"MIG-{gpu.uuid[4:28]}{mig.changes + 1:012x}"),
        slot=slot,
        gpu_instance=number,
        compute_instance=_next_compute_id(instance),
        start=instance.start,
        instance=Instance(name=_device_name(instance, profile), profile=instance.profile, compute_profile=profile),
        compute_start=start,
    )
    compute = tuple(sorted((*instance.compute, created), key=lambda each: each.compute_instance))
    return _replaced(mig, replace(instance, compute=compute)), created


def destroy_compute(gpu: SimulatedGpu, mig: MigState, device: SimulatedMig) -> MigState:
    method = "compute_instance_destroy"
    instance = find_instance(method, mig, device.gpu_instance)
    if device.slot in {process.slot for process in gpu.use.processes}:
        raise error_of(method, IN_USE)
    return _replaced(mig, replace(instance, compute=tuple(each for each in instance.compute if each != device)))


def find_instance(method: str, mig: MigState, number: int) -> SimulatedInstance:
    """The GPU instance with an id. Raises NOT_FOUND."""
    found = next((each for each in mig.instances if each.id == number), None)
    if found is None:
        raise error_of(method, NOT_FOUND)
    return found


def compute_count(instance: SimulatedInstance, profile: int) -> int:
    """How many compute instances of a profile an empty GPU instance can have; 0 for an unsupported profile."""
    slices = COMPUTE_INSTANCE_SLICES[profile]
    is_supported = COMPUTE_NUMBERS[slices] == profile and slices in COMPUTE_SLICES[instance.profile.slices]
    return instance.profile.slices // slices if is_supported else 0


def _free_start(instance: SimulatedInstance, slices: int) -> int | None:
    """The first of adjacent free compute slices."""
    taken = {
        each.compute_start + number
        for each in instance.compute
        for number in range(COMPUTE_INSTANCE_SLICES[each.instance.compute_profile])
    }
    starts = range(instance.profile.slices - slices + 1)
    return next((start for start in starts if taken.isdisjoint(range(start, start + slices))), None)


def _free_slot(gpu: SimulatedGpu, mig: MigState) -> int | None:
    """The first slot without a MIG device."""
    used = {each.slot for each in mig.devices}
    return next((slot for slot in range(BOARDS[gpu.model].max_devices) if slot not in used), None)


def _next_compute_id(instance: SimulatedInstance) -> int:
    used = {each.compute_instance for each in instance.compute}
    return next(number for number in range(len(used) + 1) if number not in used)


def _device_name(instance: SimulatedInstance, profile: int) -> str:
    slices = COMPUTE_INSTANCE_SLICES[profile]
    return instance.profile_name if slices == instance.profile.slices else f"{slices}c.{instance.profile_name}"


def _replaced(mig: MigState, instance: SimulatedInstance) -> MigState:
    return replace(mig, instances=_sorted(*(each for each in mig.instances if each.id != instance.id), instance))


def _sorted(*instances: SimulatedInstance) -> tuple[SimulatedInstance, ...]:
    return tuple(sorted(instances, key=lambda each: each.id))
