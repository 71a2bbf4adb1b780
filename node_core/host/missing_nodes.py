"""Which GPUs have lost their device node: then a container that asks for one does not start."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from node_core.domain.inventory import Gpu, GpuUuid, Inventory
from node_core.errors import HostReadError
from node_core.host.root import HostRoot


def note_missing_nodes(inventory: Inventory, dev: HostRoot) -> Inventory:
    """With what is missing in the GPUs' states. dev: the root whose /dev it is. Simulated GPUs have no nodes."""
    missing = {} if inventory.simulated else read_missing_nodes(inventory.gpus, dev)
    states = (replace(state, missing_nodes=missing.get(state.gpu, ())) for state in inventory.states)
    return replace(inventory, states=tuple(states))


def read_missing_nodes(gpus: Iterable[Gpu], dev: HostRoot) -> Mapping[GpuUuid, tuple[str, ...]]:
    """By GPU. Where /dev has no NVIDIA node at all or cannot be read, it is not shown to us: none is missing."""
    try:
        names = frozenset(dev.entries("/dev"))
    except HostReadError:
        return {}
    if not any(name.startswith("nvidia") for name in names):
        return {}
    wanted = {gpu.uuid: f"nvidia{gpu.minor}" for gpu in gpus if gpu.minor is not None}
    return {uuid: (f"/dev/{name}",) for uuid, name in wanted.items() if name not in names}
