"""The present layout of GPUs: its devices, what could still be created, and the layout as a config. PURE."""

from collections import Counter
from collections.abc import Mapping, Sequence

from gpu_core.mig.config import ConfigEntry, MigConfigs
from gpu_core.mig.model import InstanceProfile, MigGpu
from gpu_core.mig.resources import resource_limits, resources_of

EXPORTED = "current"
"""The name of the exported config."""


def count_devices(gpu: MigGpu) -> Mapping[str, int]:
    """Returns the name of each MIG device -> count, in the order of the profiles. Devices of unknown profiles are ignored."""
    names = {(profile.number, compute.number): compute.name for profile in gpu.profiles for compute in profile.compute}
    present = Counter((instance.profile, each.profile) for instance in gpu.instances for each in instance.compute)
    return {name: present[key] for key, name in names.items() if present[key]}


def export_config(gpus: Sequence[MigGpu]) -> MigConfigs:
    """Returns one config with an entry for each layout, and the GPUs that have the layout."""
    rows = [(gpu.index, ConfigEntry(is_enabled=gpu.is_enabled, mig_devices=count_devices(gpu))) for gpu in gpus]
    layouts = [entry for number, (_, entry) in enumerate(rows) if entry not in [each for _, each in rows[:number]]]
    return {
        EXPORTED: tuple(_entry(layout, [index for index, each in rows if each == layout], rows) for layout in layouts)
    }


def _entry(layout: ConfigEntry, indexes: list[int], rows: list[tuple[int, ConfigEntry]]) -> ConfigEntry:
    return ConfigEntry(
        devices=None if len(indexes) == len(rows) else tuple(indexes),
        is_enabled=layout.is_enabled,
        mig_devices=layout.mig_devices if layout.is_enabled else {},
    )


def list_free_slices(gpu: MigGpu) -> tuple[int, ...]:
    """Returns the memory slices that no GPU instance occupies, sorted."""
    placements = [place for profile in gpu.profiles for place in profile.placements]
    taken = {number for instance in gpu.instances for number in instance.placement.slices}
    return tuple(
        number
        for number in range(max((place.start + place.size for place in placements), default=0))
        if number not in taken
    )


def count_addable(gpu: MigGpu) -> Mapping[str, int]:
    """Returns the name of each profile -> the GPU instances that could be created besides all present ones. Profiles with 0 are absent.

    Each number is for this profile alone.
    """
    present = [profile for instance in gpu.instances if (profile := gpu.profile(instance.profile))]
    used = [sum(column) for column in zip(*(resources_of(gpu, profile) for profile in present), strict=True)]
    limits = resource_limits(gpu)
    left = [limit - use for limit, use in zip(limits, used or [0] * len(limits), strict=True)]
    counts = {profile.name: _count_addable(gpu, profile, left) for profile in gpu.profiles}
    return {name: count for name, count in counts.items() if count > 0}


def _count_addable(gpu: MigGpu, profile: InstanceProfile, left: Sequence[int]) -> int:
    """The lowest free placement is always a best one, because all placements of a profile have the same size."""
    free = set(list_free_slices(gpu))
    count = 0
    for placement in profile.placements:
        if placement.slices <= free:
            free -= placement.slices
            count += 1
    uses = resources_of(gpu, profile)
    return min([count, *(amount // use for amount, use in zip(left, uses, strict=True) if use)])
