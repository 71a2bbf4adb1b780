"""What a layout can contain at each memory slice of a GPU, and what that costs. PURE."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from operator import itemgetter

import msgspec

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import ComputeInstance, GpuInstance, InstanceProfile, MigGpu, Placement
from gpu_core.mig.resources import resource_limits, resources_of

CREATED, DESTROYED, BUSY, MISSING = 1, 1_000, 1_000_000, 1_000_000_000
"""The costs of a GPU instance to create, of a MIG device to destroy, of a busy one, and of a missing one. Each outweighs all before it."""

Amounts = tuple[int, ...]
"""MIG devices by requested name, and then what the requested devices could use more than the GPU has."""


class LayoutItem(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU instance of the layout. present: the instance to retain; None: create one. devices: the names of the MIG devices."""

    placement: Placement
    profile: InstanceProfile
    devices: tuple[str, ...]
    present: GpuInstance | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """item: None leaves the slice free. end: the next slice to decide. need: what the item uses.

    cost: of the item, and of the present instances that start before `end` and are not retained.
    """

    item: LayoutItem | None
    end: int
    need: Amounts
    cost: int


class Choices:
    """The choices for one GPU.

    by_slice: for each memory slice; of equal choices, the first is the best one. budget: what all items of a layout can use together.
    memory_slices: of the GPU, as far as the profiles use them.
    """

    def __init__(self, gpu: MigGpu, devices: Mapping[str, int], busy: Collection[MigUuid]) -> None:
        self._names = tuple(devices)
        self._busy = busy
        self._profiles = [profile for profile in gpu.profiles if _is_requested(profile, devices)]
        self._present = {instance.placement.start: instance for instance in gpu.instances}
        self._uses = {profile.number: resources_of(gpu, profile) for profile in self._profiles}
        limits = resource_limits(gpu)
        self._scarce = [number for number, limit in enumerate(limits) if self._highest_use(number, devices) > limit]
        self.budget = (*devices.values(), *(limits[number] for number in self._scarce))
        self._divisions = {
            profile.number: [(names, self._need(profile, names)) for names in list_divisions(profile, devices)]
            for profile in self._profiles
        }
        placements = [place for profile in self._profiles for place in profile.placements]
        self.memory_slices = max((place.start + place.size for place in placements), default=0)
        end = 1 + max([*self._present, *(place.start for place in placements)], default=-1)
        self._costs = list(itertools.accumulate(map(self._cost_at, range(end)), initial=0))
        self.by_slice = [list(self._list_choices(start)) for start in range(end)]

    def minimum_sizes(self) -> Amounts:
        """Returns the memory slices that each requested device occupies; 0 for devices that share a GPU instance."""
        sizes = {profile.name: profile.placements[0].size for profile in self._profiles if profile.placements}
        return tuple(sizes.get(name, 0) for name in self._names)

    def cost_of_destruction(self, start: int, end: int) -> int:
        """Returns the cost of all present instances that start in these slices."""
        last = len(self._costs) - 1
        return self._costs[min(end, last)] - self._costs[min(start, last)]

    def _cost_at(self, start: int) -> int:
        return _cost_of(self._present[start].compute, self._busy) if start in self._present else 0

    def _list_choices(self, start: int) -> Iterator[Choice]:
        present = self._present.get(start)
        for profile in self._profiles:
            if present and profile.number == present.profile:
                yield from self._retain(profile, present)
        for profile in self._profiles:
            for placement in profile.placements:
                if placement.start == start:
                    yield from self._create(profile, placement)
        yield Choice(item=None, end=start + 1, need=(0,) * len(self.budget), cost=self._cost_at(start))

    def _retain(self, profile: InstanceProfile, present: GpuInstance) -> Iterator[Choice]:
        """No other present instance starts in the same slices."""
        _, end = _range(present.placement)
        for devices, need in self._divisions[profile.number]:
            _, destroyed = divide_compute(profile, present, devices, self._busy)
            item = LayoutItem(placement=present.placement, profile=profile, devices=devices, present=present)
            yield Choice(item=item, end=end, need=need, cost=_cost_of(destroyed, self._busy))

    def _create(self, profile: InstanceProfile, placement: Placement) -> Iterator[Choice]:
        start, end = _range(placement)
        cost = CREATED + self.cost_of_destruction(start, end)
        for devices, need in self._divisions[profile.number]:
            item = LayoutItem(placement=placement, profile=profile, devices=devices)
            yield Choice(item=item, end=end, need=need, cost=cost)

    def _highest_use(self, resource: int, devices: Mapping[str, int]) -> int:
        """Returns what a layout uses in which no two devices share a GPU instance."""
        return sum(
            self._uses[profile.number][resource] * sum(devices.get(each.name, 0) for each in profile.compute)
            for profile in self._profiles
        )

    def _need(self, profile: InstanceProfile, devices: tuple[str, ...]) -> Amounts:
        use = self._uses[profile.number]
        return (*map(devices.count, self._names), *(use[number] for number in self._scarce))


def divide_compute(
    profile: InstanceProfile, instance: GpuInstance, devices: Collection[str], busy: Collection[MigUuid]
) -> tuple[list[ComputeInstance], list[ComputeInstance]]:
    """Returns the compute instances to retain and those to destroy. Busy ones are retained first, then those with low ids."""
    names = {compute.number: compute.name for compute in profile.compute}
    left: list[str | None] = list(devices)
    retained, destroyed = [], []
    for each in sorted(instance.compute, key=lambda each: (each.uuid not in busy, each.id)):
        name = names.get(each.profile)
        if name in left:
            left.remove(name)
            retained.append(each)
        else:
            destroyed.append(each)
    return retained, destroyed


def list_divisions(profile: InstanceProfile, devices: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Returns the sets of requested MIG devices that fit in one GPU instance, the largest first."""
    requested = [compute for compute in reversed(profile.compute) if devices.get(compute.name)]
    counts = [range(min(each.max_count, devices[each.name]), -1, -1) for each in requested]
    sets = [
        (sum(each.slices * count for each, count in zip(requested, numbers, strict=True)), numbers)
        for numbers in itertools.product(*counts)
    ]
    fitting = sorted((row for row in sets if 0 < row[0] <= profile.slices), key=itemgetter(0), reverse=True)
    return [
        tuple(each.name for each, count in zip(requested, numbers, strict=True) for _ in range(count))
        for _, numbers in fitting
    ]


def _is_requested(profile: InstanceProfile, devices: Mapping[str, int]) -> bool:
    return any(devices.get(compute.name) for compute in profile.compute)


def _range(placement: Placement) -> tuple[int, int]:
    return placement.start, placement.start + max(placement.size, 1)


def _cost_of(destroyed: Collection[ComputeInstance], busy: Collection[MigUuid]) -> int:
    return sum(DESTROYED + BUSY * (each.uuid in busy) for each in destroyed)
