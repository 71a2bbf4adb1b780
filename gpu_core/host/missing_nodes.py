"""Finds GPUs whose device node is missing. A container with such a GPU cannot start."""

from collections.abc import Iterable, Mapping

from gpu_core.domain.inventory import Gpu, GpuUuid, Inventory
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from node_core.values import replace


def add_missing_nodes(inventory: Inventory, dev: HostRoot) -> Inventory:
    """Adds missing nodes to the states of the GPUs. dev: the root that contains /dev. Simulated GPUs have no nodes."""
    missing = {} if inventory.simulated else find_missing_nodes(inventory.gpus, dev)
    states = (replace(state, missing_nodes=missing.get(state.gpu, ())) for state in inventory.states)
    return replace(inventory, states=tuple(states))


def find_missing_nodes(gpus: Iterable[Gpu], dev: HostRoot) -> Mapping[GpuUuid, tuple[str, ...]]:
    """Paths of missing nodes by GPU. Empty if /dev has no NVIDIA node or cannot be read: then the host's /dev is not mounted."""
    try:
        names = frozenset(dev.entries("/dev"))
    except HostReadError:
        return {}
    if not any(name.startswith("nvidia") for name in names):
        return {}
    expected = {gpu.uuid: f"nvidia{gpu.minor}" for gpu in gpus if gpu.minor is not None}
    return {uuid: (f"/dev/{name}",) for uuid, name in expected.items() if name not in names}
