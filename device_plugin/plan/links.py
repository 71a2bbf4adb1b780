"""How much joins the GPUs of a node two by two, worked out once for each look at them. PURE.

A pair weighs what PCI has between the two, the less the nearer, and a hundred times as much as a step of that for each NVLink: those that
lead straight from one to the other, and those by which both reach the same NVSwitches. Source: go-gpuallocator's scores, as NVIDIA's
device plugin uses them, which know no switches.
"""

import itertools
from collections.abc import Mapping, Sequence

from node_core.domain.inventory import Gpu, GpuUuid, PciPath

PER_LINK = 100
OF_PATH = {
    PciPath.BOARD: 60,
    PciPath.SWITCH: 50,
    PciPath.SWITCHES: 40,
    PciPath.HOST_BRIDGE: 30,
    PciPath.NODE: 20,
    PciPath.SYSTEM: 10,
}

Links = Mapping[GpuUuid, Mapping[GpuUuid, int]]
"""GPU -> every other GPU -> what the pair weighs."""


def weigh_links(gpus: Sequence[Gpu]) -> Links:
    links: dict[GpuUuid, dict[GpuUuid, int]] = {gpu.uuid: {} for gpu in gpus}
    for one, other in itertools.combinations(gpus, 2):
        links[one.uuid][other.uuid] = links[other.uuid][one.uuid] = pair_weight(one, other)
    return links


def pair_weight(one: Gpu, other: Gpu) -> int:
    return PER_LINK * (_straight(one, other) + _switched(one, other)) + OF_PATH[_path(one, other)]


def _straight(one: Gpu, other: Gpu) -> int:
    """What either end counts: one whose links cannot be read counts none."""
    ends = ((one, other), (other, one))
    return max((peer.links for a, b in ends for peer in a.peers if peer.address == b.address), default=0)


def _switched(one: Gpu, other: Gpu) -> int:
    return min(one.switch_links, other.switch_links) if one.fabric == other.fabric else 0


def _path(one: Gpu, other: Gpu) -> PciPath:
    """As the driver says; where it does not, as NUMA does."""
    for peer in one.pci_peers:
        if peer.gpu == other.uuid:
            return peer.path
    return PciPath.NODE if one.numa_node is not None and one.numa_node == other.numa_node else PciPath.SYSTEM
