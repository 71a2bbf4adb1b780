"""All layouts of a GPU, one after the other: the measure for the planner. Slow, and written without the planner's code."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from gpu_core.mig.model import GpuInstance, InstanceProfile, MigGpu, Placement

Cost = tuple[int, int, int]
"""Destroyed busy MIG devices, destroyed MIG devices, created GPU instances."""


def lowest_cost(gpu: MigGpu, devices: Mapping[str, int], busy: Collection[str]) -> Cost | None:
    """Returns the lowest cost of a layout with exactly these devices, or None if there is no such layout."""
    wanted = Counter({name: count for name, count in devices.items() if count})
    costs = [
        _cost(gpu, retained, created, division, busy)
        for retained, created in _layouts(gpu, wanted)
        for division in _divisions(gpu, retained, created, wanted)
    ]
    return min(costs, default=None)


def is_possible(gpu: MigGpu, items: Collection[tuple[InstanceProfile, Placement]]) -> bool:
    """True if the placements exist and do not overlap, and if nothing is used more than the GPU has."""
    slices = [number for _, place in items for number in place.slices]
    counts = Counter(profile.number for profile, _ in items)
    return (
        len(slices) == len(set(slices))
        and all(place in profile.placements for profile, place in items)
        and all(count <= _profile(gpu, number).max_count for number, count in counts.items())
        and all(sum(use(profile) for profile, _ in items) <= _limit(gpu, use) for use in _USES)
    )


_USES: tuple[Callable[[InstanceProfile], int], ...] = (
    lambda profile: profile.slices,
    lambda profile: profile.engines.decoders,
    lambda profile: profile.engines.jpeg,
    lambda profile: profile.engines.ofa,
)


def _limit(gpu: MigGpu, use: Callable[[InstanceProfile], int]) -> int:
    return max(use(profile) * profile.max_count for profile in gpu.profiles)


def _profile(gpu: MigGpu, number: int) -> InstanceProfile:
    return next(profile for profile in gpu.profiles if profile.number == number)


_New = tuple[tuple[InstanceProfile, Placement], ...]


def _layouts(gpu: MigGpu, wanted: Counter[str]) -> Iterator[tuple[tuple[GpuInstance, ...], _New]]:
    useful = [profile for profile in gpu.profiles if any(each.name in wanted for each in profile.compute)]
    candidates = [(profile, place) for profile in useful for place in profile.placements]
    for size in range(len(gpu.instances) + 1):
        for retained in itertools.combinations(gpu.instances, size):
            old = [(_profile(gpu, each.profile), each.placement) for each in retained]
            for number in range(wanted.total() - size + 1):
                for new in itertools.combinations(candidates, number):
                    if is_possible(gpu, [*old, *new]):
                        yield retained, new


def _divisions(
    gpu: MigGpu, retained: tuple[GpuInstance, ...], created: _New, wanted: Counter[str]
) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Yields the device names of each instance, where all instances together have exactly the wanted devices."""
    profiles = [_profile(gpu, each.profile) for each in retained] + [profile for profile, _ in created]
    for division in itertools.product(*(list(_sets(profile, wanted)) for profile in profiles)):
        if Counter(itertools.chain(*division)) == wanted:
            yield division


def _sets(profile: InstanceProfile, wanted: Counter[str]) -> Iterator[tuple[str, ...]]:
    slices = {each.name: each.slices for each in profile.compute}
    limits = {each.name: each.max_count for each in profile.compute}
    for size in range(1, profile.slices + 1):
        for names in itertools.combinations_with_replacement([name for name in slices if name in wanted], size):
            fits = sum(slices[name] for name in names) <= profile.slices
            if fits and all(names.count(name) <= limits[name] for name in names):
                yield names


def _cost(
    gpu: MigGpu,
    retained: tuple[GpuInstance, ...],
    created: _New,
    division: tuple[tuple[str, ...], ...],
    busy: Collection[str],
) -> Cost:
    devices = dict(zip([each.id for each in retained], division, strict=False))
    lost = lost_busy = 0
    for each in gpu.instances:
        names = {compute.number: compute.name for compute in _profile(gpu, each.profile).compute}
        have = Counter(names[compute.profile] for compute in each.compute)
        have_busy = Counter(names[compute.profile] for compute in each.compute if compute.uuid in busy)
        want = Counter(devices.get(each.id, ()))
        lost += (have - want).total()
        lost_busy += (have_busy - want).total()
    return lost_busy, lost, len(created)
