"""Applies a plan to the facts about a GPU, as NVML would, and checks each step."""

from collections import Counter

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import ComputeInstance, GpuInstance, MigGpu
from gpu_core.mig.plan import GpuPlan
from node_core.values import replace
from tests.gpu_core.mig.brute_force import is_possible


def apply_plan(plan: GpuPlan) -> MigGpu:
    """Returns the GPU after the change. Created instances have new UUIDs."""
    gpu = plan.gpu
    mode = gpu.is_enabled if plan.mode is None else plan.mode
    destroyed = set(plan.destroy_compute)
    instances = [
        replace(each, compute=tuple(part for part in each.compute if (each.id, part) not in destroyed))
        for each in gpu.instances
        if each not in plan.destroy
    ]
    for gpu_instance, number in plan.create_compute:
        index = next(index for index, each in enumerate(instances) if each.id == gpu_instance)
        instances[index] = _with_compute(instances[index], number)
    free = (number for number in range(1, 100) if number not in {each.id for each in gpu.instances})
    for new in plan.create:
        created = GpuInstance(id=next(free), profile=new.profile, placement=new.placement)
        for number in new.compute:
            created = _with_compute(created, number)
        instances.append(created)
    after = replace(gpu, is_enabled=mode, is_pending=mode, instances=tuple(instances))
    check_layout(after)
    return after


def check_layout(gpu: MigGpu) -> None:
    items = [(gpu.profile(each.profile), each.placement) for each in gpu.instances]
    assert is_possible(gpu, [(profile, place) for profile, place in items if profile])
    for each in gpu.instances:
        profile = gpu.profile(each.profile)
        assert profile
        compute = {part.number: part for part in profile.compute}
        counts = Counter(part.profile for part in each.compute)
        assert sum(compute[number].slices * count for number, count in counts.items()) <= profile.slices
        assert all(count <= compute[number].max_count for number, count in counts.items())


def device_counts(gpu: MigGpu) -> Counter[str]:
    """Returns the names of the MIG devices -> count."""
    names = {(profile.number, compute.number): compute.name for profile in gpu.profiles for compute in profile.compute}
    return Counter(names[each.profile, part.profile] for each in gpu.instances for part in each.compute)


def _with_compute(instance: GpuInstance, number: int) -> GpuInstance:
    used = {each.id for each in instance.compute}
    new = next(number for number in range(10) if number not in used)
    part = ComputeInstance(id=new, profile=number, uuid=MigUuid(f"MIG-new-{instance.id}-{new}"))
    return replace(instance, compute=(*instance.compute, part))
