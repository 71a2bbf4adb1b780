"""The present layout of GPUs as a config. PURE."""

from collections import Counter
from collections.abc import Mapping, Sequence

from gpu_core.mig.config import ConfigEntry, MigConfigs
from gpu_core.mig.model import MigGpu

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
