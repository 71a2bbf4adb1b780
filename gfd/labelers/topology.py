"""Labels of the GPU topology, which GPU Feature Discovery does not have: NVLink groups and NUMA nodes.

The GPUs of a group are connected by NVLink, directly or through other GPUs of the group. The GPUs of one fabric clique are a group. On
a board without a fabric, all GPUs with links to NVSwitches are a group. A node without a known connection between two GPUs has no NVLink
labels. GPUs in MIG mode are in no group, because MIG devices cannot use NVLink. Source: NVML API reference, NvLink methods; NVIDIA MIG
user guide, limitations.
"""

from collections import Counter
from collections.abc import Hashable, Iterator

from gfd.labelers.api import LabelOptions
from gfd.labelers.resource import GPU
from gpu_core.domain.inventory import Gpu, Inventory
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.domain.pci import PciAddress

NUMA = f"{GPU}.numa"
_JOINED = {
    "source": "nvmlDeviceGetNvLinkState, nvmlDeviceGetNvLinkRemotePciInfo, nvmlDeviceGetGpuFabricInfo",
    "presence": "if two GPUs are known to be connected",
}
_SWITCHES = "switches"
_NUMA = {"source": "/sys/bus/pci/devices/*/numa_node", "presence": "if the kernel reports the NUMA node of every GPU"}
DECLARED = (
    LabelDeclaration(key=f"{GPU}.nvlink.largest", value="GPUs in the largest NVLink group", **_JOINED),
    LabelDeclaration(
        key=f"{GPU}.nvlink.smallest", value="GPUs in the smallest NVLink group; 1 if a GPU has no connection", **_JOINED
    ),
    LabelDeclaration(key=f"{NUMA}.nodes", value="NUMA nodes with a GPU", **_NUMA),
    LabelDeclaration(key=f"{NUMA}.largest", value="GPUs of the NUMA node with the most GPUs", **_NUMA),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    return nvlink_labels(inventory.gpus) | numa_labels(inventory.gpus)


def nvlink_labels(gpus: tuple[Gpu, ...]) -> dict[str, str]:
    """Returns no labels if no connection between two GPUs is known."""
    sizes = group_sizes(tuple(gpu for gpu in gpus if not gpu.mig_enabled))
    if max(sizes, default=0) < 2:
        return {}
    return {f"{GPU}.nvlink.largest": str(max(sizes)), f"{GPU}.nvlink.smallest": str(min(sizes))}


def numa_labels(gpus: tuple[Gpu, ...]) -> dict[str, str]:
    """Returns no labels if the NUMA node of a GPU is unknown."""
    if any(gpu.numa_node is None for gpu in gpus):
        return {}
    counts = Counter(gpu.numa_node for gpu in gpus)
    return {f"{NUMA}.nodes": str(len(counts)), f"{NUMA}.largest": str(max(counts.values()))} if counts else {}


def group_sizes(gpus: tuple[Gpu, ...]) -> tuple[int, ...]:
    """Returns the number of GPUs in each group, ascending. A GPU without connections is a group."""
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
    """Yields the ports of a GPU: its address, the addresses of known peers, its clique, or its switches. A common port connects GPUs."""
    if gpu.address is not None:
        yield gpu.address
    yield from (peer.address for peer in gpu.peers if peer.address in known)
    if gpu.fabric is not None:
        yield gpu.fabric.cluster_uuid, gpu.fabric.clique
    elif gpu.switch_links:
        yield _SWITCHES
