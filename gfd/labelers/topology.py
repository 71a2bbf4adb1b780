"""How the GPUs of a node lie to each other, beyond what GPU Feature Discovery says: groups joined by NVLink, and NUMA nodes.

A group is GPUs that reach each other by NVLink, straight or through other GPUs of the group, through one fabric clique, or, where there
is no fabric, through the NVSwitches of their board: those join all GPUs that have a link to one. A node where no two GPUs are known to be
joined has no NVLink labels. GPUs in MIG mode are in no group: NVLink does not reach MIG devices. Source: NVML API reference, NvLink
methods; NVIDIA MIG user guide, limitations.
"""

from collections import Counter
from collections.abc import Hashable, Iterator

from gfd.labelers.api import Declared, LabelOptions
from gfd.labelers.resource import GPU
from node_core.domain.inventory import Gpu, Inventory, PciAddress
from node_core.domain.labels import Labels

NUMA = f"{GPU}.numa"
_JOINED = {
    "source": "nvmlDeviceGetNvLinkRemotePciInfo, nvmlDeviceGetNvLinkRemoteDeviceType, nvmlDeviceGetGpuFabricInfo",
    "presence": "where two GPUs are known to be joined",
}
_SWITCHES = "switches"
_NUMA = {"source": "numa_node in sysfs", "presence": "where the kernel says it of every GPU"}
DECLARED = (
    Declared(key=f"{GPU}.nvlink.largest", value="GPUs in the largest group that NVLink joins", **_JOINED),
    Declared(key=f"{GPU}.nvlink.smallest", value="GPUs in the smallest such group; 1 if some GPU is alone", **_JOINED),
    Declared(key=f"{NUMA}.nodes", value="NUMA nodes that have a GPU", **_NUMA),
    Declared(key=f"{NUMA}.largest", value="GPUs of the NUMA node that has most of them", **_NUMA),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    return nvlink_labels(inventory.gpus) | numa_labels(inventory.gpus)


def nvlink_labels(gpus: tuple[Gpu, ...]) -> dict[str, str]:
    """Nothing where no two whole GPUs are known to be joined."""
    sizes = group_sizes(tuple(gpu for gpu in gpus if not gpu.mig_enabled))
    if max(sizes, default=0) < 2:
        return {}
    return {f"{GPU}.nvlink.largest": str(max(sizes)), f"{GPU}.nvlink.smallest": str(min(sizes))}


def numa_labels(gpus: tuple[Gpu, ...]) -> dict[str, str]:
    """Nothing where the NUMA node of one GPU is not known."""
    if any(gpu.numa_node is None for gpu in gpus):
        return {}
    counts = Counter(gpu.numa_node for gpu in gpus)
    return {f"{NUMA}.nodes": str(len(counts)), f"{NUMA}.largest": str(max(counts.values()))} if counts else {}


def group_sizes(gpus: tuple[Gpu, ...]) -> tuple[int, ...]:
    """How many GPUs each group has, a GPU alone counted as a group; ascending."""
    known = frozenset(gpu.address for gpu in gpus if gpu.address is not None)
    groups: list[tuple[set[int], set[Hashable]]] = []
    for number, gpu in enumerate(gpus):
        members, ports = {number}, set(_ports(gpu, known))
        apart = []
        for group in groups:
            if group[1].isdisjoint(ports):
                apart.append(group)
            else:
                members |= group[0]
                ports |= group[1]
        groups = [*apart, (members, ports)]
    return tuple(sorted(len(members) for members, _ in groups))


def _ports(gpu: Gpu, known: frozenset[PciAddress]) -> Iterator[Hashable]:
    """What joins a GPU to those that have the same: its address, those of its peers among the known, its clique or its switches."""
    if gpu.address is not None:
        yield gpu.address
    yield from (peer.address for peer in gpu.peers if peer.address in known)
    if gpu.fabric is not None:
        yield gpu.fabric.cluster_uuid, gpu.fabric.clique
    elif gpu.switch_links:
        yield _SWITCHES
