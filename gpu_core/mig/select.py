"""Selects the layout of each GPU from a named config. PURE."""

from collections.abc import Iterator, Mapping, Sequence

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.config import ConfigEntry, MigConfigs
from gpu_core.mig.model import MigGpu
from gpu_core.mig.planner import DesiredGpu
from node_core.errors import MigError
from node_core.schema import suggest


def select_layouts(configs: MigConfigs, name: str, gpus: Sequence[MigGpu]) -> Mapping[GpuUuid, DesiredGpu]:
    """Returns the layout of each GPU that an entry of the config selects. All other GPUs stay as they are.

    gpus: the GPUs of the node that support MIG. Raises MigError for an unknown name, for a GPU that does not exist, for two different
    layouts of one GPU, and for a config that selects none of the GPUs.
    """
    if name not in configs:
        raise MigError(
            f"the MIG config {name!r:.80} does not exist{suggest(name, configs)}",
            hint=f"The configs are: {', '.join(configs)}",
        )
    found: dict[GpuUuid, DesiredGpu] = {}
    for index, entry in enumerate(configs[name]):
        desired = DesiredGpu(is_enabled=entry.is_enabled, devices=entry.mig_devices)
        for gpu in _select_gpus(f"{name}[{index}]", entry, gpus):
            if found.setdefault(gpu.uuid, desired) != desired:
                raise MigError(f"the MIG config {name} has two different layouts for {gpu.name}")
    if gpus and not found:
        ids = ", ".join(sorted({f"{gpu.model} is {gpu.pci_id}" for gpu in gpus}))
        raise MigError(f"no device-filter of the MIG config {name} matches a GPU of this node", hint=ids)
    return found


def _select_gpus(place: str, entry: ConfigEntry, gpus: Sequence[MigGpu]) -> Iterator[MigGpu]:
    matching = [gpu for gpu in gpus if _matches(entry, gpu)]
    indexes = [gpu.index for gpu in gpus]
    missing = [index for index in entry.devices or () if index not in indexes]
    if missing and (matching or not entry.device_filter):
        raise MigError(
            f"the MIG config {place} selects GPU {', '.join(map(str, missing))}, which does not exist or does not support MIG",
            hint=f"The GPUs with MIG are: {', '.join(map(str, indexes)) or 'none'}",
        )
    return (gpu for gpu in matching if is_selected(entry, gpu))


def is_selected(entry: ConfigEntry, gpu: MigGpu) -> bool:
    """Whether an entry gives this GPU its layout."""
    return _matches(entry, gpu) and (entry.devices is None or gpu.index in entry.devices)


def _matches(entry: ConfigEntry, gpu: MigGpu) -> bool:
    ids = {gpu.pci_id, f"{gpu.pci_id}:{gpu.pci_subsystem}"}
    return not entry.device_filter or not ids.isdisjoint(entry.device_filter)
