"""The plan from the present layout of a GPU to another layout, and the plan that restores a recorded layout. PURE.

`planner` selects placements for counts of profiles. This module knows the placements already.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from gpu_core.domain.inventory import MigUuid
from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES
from gpu_core.mig.model import ComputeInstance, GpuInstance, MigGpu, Placement
from node_core.values import replace


class NewInstance(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A GPU instance to create. profile: NVML_GPU_INSTANCE_PROFILE_*. compute: NVML_COMPUTE_INSTANCE_PROFILE_*, in order of creation."""

    profile: int
    placement: Placement
    compute: tuple[int, ...] = ()


class GpuPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of one GPU, in the order of the fields: first everything is destroyed, then the mode changes, then instances are created.

    gpu: with its present layout. mode: the MIG mode to set; None if current and pending mode are the requested one. destroy: with all
    their compute instances. destroy_compute: id of a retained GPU instance, and the compute instance. create_compute: id of a retained
    GPU instance, and the profile. is_partial: the driver lists no profiles while MIG mode is off. Set the mode, read the GPU, and plan
    again.
    """

    gpu: MigGpu
    destroy_compute: tuple[tuple[int, ComputeInstance], ...] = ()
    destroy: tuple[GpuInstance, ...] = ()
    mode: bool | None = None
    create: tuple[NewInstance, ...] = ()
    create_compute: tuple[tuple[int, int], ...] = ()
    is_partial: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the GPU has the requested layout."""
        return self.mode is None and not (self.destroy or self.destroy_compute or self.create or self.create_compute)

    @property
    def destroyed_uuids(self) -> frozenset[MigUuid]:
        """The MIG devices that the plan destroys."""
        single = (compute for _, compute in self.destroy_compute)
        within = (compute for instance in self.destroy for compute in instance.compute)
        return frozenset(each.uuid for each in (*single, *within) if each.uuid is not None)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A layout with its placements, without ids and UUIDs. instances: sorted."""

    is_enabled: bool
    instances: tuple[NewInstance, ...] = ()


def read_layout(gpu: MigGpu) -> Layout:
    """Returns the present layout of a GPU."""
    instances = (
        NewInstance(profile=each.profile, placement=each.placement, compute=tuple(one.profile for one in each.compute))
        for each in gpu.instances
    )
    return Layout(is_enabled=gpu.is_enabled, instances=_sort(instances))


def plan_result(plan: GpuPlan) -> Layout:
    """Returns the layout after a plan."""
    gone = {instance.id for instance in plan.destroy}
    gone_compute = {(instance, compute.id) for instance, compute in plan.destroy_compute}
    kept = (
        NewInstance(
            profile=each.profile,
            placement=each.placement,
            compute=(
                *(one.profile for one in each.compute if (each.id, one.id) not in gone_compute),
                *(profile for id_, profile in plan.create_compute if id_ == each.id),
            ),
        )
        for each in plan.gpu.instances
        if each.id not in gone
    )
    is_enabled = plan.gpu.is_enabled if plan.mode is None else plan.mode
    return Layout(is_enabled=is_enabled, instances=_sort((*kept, *plan.create)))


def plan_restore(gpu: MigGpu, layout: Layout) -> GpuPlan:
    """Returns the plan from the present layout to a recorded one. An instance that is in both stays.

    Raises no error: NVML refuses a layout that the GPU does not support.
    """
    wanted = {(each.profile, each.placement): each for each in layout.instances}
    stays = {each.id: wanted.pop(key) for each in gpu.instances if (key := (each.profile, each.placement)) in wanted}
    pairs = [(each, stays[each.id]) for each in gpu.instances if each.id in stays]
    return GpuPlan(
        gpu=gpu,
        destroy=tuple(each for each in gpu.instances if each.id not in stays),
        destroy_compute=tuple((each.id, one) for each, new in pairs for one in _surplus(each, new)),
        mode=None if gpu.is_enabled == gpu.is_pending == layout.is_enabled else layout.is_enabled,
        create=tuple(sorted(wanted.values())),
        create_compute=tuple((each.id, profile) for each, new in pairs for profile in _missing(each, new)),
    )


def _surplus(present: GpuInstance, wanted: NewInstance) -> Iterator[ComputeInstance]:
    left = Counter(wanted.compute)
    for each in present.compute:
        if left[each.profile] > 0:
            left[each.profile] -= 1
        else:
            yield each


def _missing(present: GpuInstance, wanted: NewInstance) -> Iterator[int]:
    yield from (Counter(wanted.compute) - Counter(each.profile for each in present.compute)).elements()


def _sort(instances: Iterable[NewInstance]) -> tuple[NewInstance, ...]:
    """Sorts the instances by placement, and compute instances by size: the largest first, because NVML selects their placements."""
    sorted_ = (replace(each, compute=tuple(sorted(each.compute, key=_size, reverse=True))) for each in instances)
    return tuple(sorted(sorted_, key=lambda each: (each.placement, each.profile)))


def _size(profile: int) -> tuple[int, int]:
    return COMPUTE_INSTANCE_SLICES.get(profile, 0), profile
