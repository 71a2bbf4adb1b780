"""The configs that NVIDIA's MIG manager supplies, made from the profiles that NVML reports for the GPUs of a node. PURE.

all-disabled: no MIG. all-enabled: MIG mode without MIG devices. all-balanced: devices of several sizes. all-PROFILE: as many devices of
one profile as possible, with `.` in place of `+`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gpu_core.domain.mig import label_form
from gpu_core.mig.config import ConfigEntry, MigConfigs
from gpu_core.mig.model import InstanceProfile, MigGpu
from gpu_core.mig.search import search_layout
from node_core.values import replace


def generate_configs(gpus: Sequence[MigGpu]) -> MigConfigs:
    """Returns name -> entries. A config of a profile has an entry for each GPU model with this profile, and leaves other GPUs unchanged.

    A driver before 550 reports no profiles while MIG mode is off: then only `all-disabled` and `all-enabled` exist.
    """
    found: dict[str, list[ConfigEntry]] = {
        "all-disabled": [ConfigEntry(is_enabled=False)],
        "all-enabled": [ConfigEntry(is_enabled=True)],
    }
    models = {gpu.pci_id or "": gpu for gpu in reversed(gpus) if gpu.profiles}
    is_mixed = len({gpu.pci_id for gpu in gpus}) > 1
    for _, gpu in sorted(models.items()):
        for name, devices in _list_layouts(gpu):
            entry = _select_model(gpu, gpus) if is_mixed else ConfigEntry(is_enabled=True)
            found.setdefault(name, []).append(replace(entry, mig_devices=devices))
    return {name: tuple(entries) for name, entries in found.items()}


def balance(gpu: MigGpu) -> Mapping[str, int]:
    """Returns devices of several sizes: each takes at most half of what is left, and the smallest takes the rest.

    Seven slices: two 1g, one 2g and one 3g. Four slices: two 1g and one 2g.
    """
    profiles = [profile for profile in gpu.profiles if profile.placements and profile.name.endswith("gb")]
    slices = max((profile.slices for profile in profiles), default=0)
    memory = max((place.start + place.size for profile in profiles for place in profile.placements), default=0)
    found: Counter[str] = Counter()
    while fitting := [each for each in profiles if _occupies(each, slices / 2, memory / 2)]:
        found[fitting[-1].name] += 1
        slices, memory = slices - fitting[-1].slices, memory - fitting[-1].placements[0].size
    if profiles and _occupies(profiles[0], slices, memory):
        found[profiles[0].name] += 1
    empty = replace(gpu, instances=())
    possible = found - Counter(search_layout(empty, found, ()).missing)
    return {profile.name: possible[profile.name] for profile in profiles if possible[profile.name]}


def _select_model(gpu: MigGpu, gpus: Sequence[MigGpu]) -> ConfigEntry:
    """Returns an entry for the GPUs of one model. A GPU that is not on a PCI bus has no id for a filter."""
    if gpu.pci_id is not None:
        return ConfigEntry(device_filter=(gpu.pci_id,), is_enabled=True)
    return ConfigEntry(devices=tuple(each.index for each in gpus if each.pci_id is None), is_enabled=True)


def _occupies(profile: InstanceProfile, slices: float, memory: float) -> bool:
    return profile.slices <= slices and profile.placements[0].size <= memory


def _list_layouts(gpu: MigGpu) -> Iterator[tuple[str, Mapping[str, int]]]:
    if devices := balance(gpu):
        yield "all-balanced", devices
    for profile in gpu.profiles:
        yield f"all-{label_form(profile.name)}", {profile.name: profile.max_count}
