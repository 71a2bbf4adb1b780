"""Weights of the links between each pair of GPUs. PURE.

The weight of a pair is a value for the PCI path between the two GPUs, higher for a shorter path, plus NVLINK_WEIGHT for each NVLink.
NVLinks count if they connect the two GPUs directly, or if they connect both GPUs to the same NVSwitches. Source: the scores of
go-gpuallocator in NVIDIA's device plugin, which does not count NVSwitches.
"""

import itertools
from collections.abc import Mapping, Sequence

from gpu_core.domain.inventory import Gpu, GpuUuid, PciPath

NVLINK_WEIGHT = 100
PATH_WEIGHTS = {
    PciPath.BOARD: 60,
    PciPath.SWITCH: 50,
    PciPath.SWITCHES: 40,
    PciPath.HOST_BRIDGE: 30,
    PciPath.NODE: 20,
    PciPath.SYSTEM: 10,
}

Links = Mapping[GpuUuid, Mapping[GpuUuid, int]]
"""GPU -> every other GPU -> weight of the pair."""


def weigh_links(gpus: Sequence[Gpu]) -> Links:
    links: dict[GpuUuid, dict[GpuUuid, int]] = {gpu.uuid: {} for gpu in gpus}
    for one, other in itertools.combinations(gpus, 2):
        links[one.uuid][other.uuid] = links[other.uuid][one.uuid] = pair_weight(one, other)
    return links


def pair_weight(one: Gpu, other: Gpu) -> int:
    return NVLINK_WEIGHT * count_nvlinks(one, other) + PATH_WEIGHTS[pci_path(one, other)]


def count_nvlinks(one: Gpu, other: Gpu) -> int:
    return count_direct_links(one, other) + count_switch_links(one, other)


def count_direct_links(one: Gpu, other: Gpu) -> int:
    """Returns the higher count of the two ends, because a GPU whose links cannot be read counts 0."""
    ends = ((one, other), (other, one))
    return max((peer.links for a, b in ends for peer in a.peers if peer.address == b.address), default=0)


def count_switch_links(one: Gpu, other: Gpu) -> int:
    """Returns the number of NVLinks of each GPU to the NVSwitches that connect both."""
    return min(one.switch_links, other.switch_links) if one.fabric == other.fabric else 0


def pci_path(one: Gpu, other: Gpu) -> PciPath:
    """Returns the path that the driver reports. Without a report, derives the path from the NUMA nodes."""
    for peer in one.pci_peers:
        if peer.gpu == other.uuid:
            return peer.path
    return PciPath.NODE if one.numa_node is not None and one.numa_node == other.numa_node else PciPath.SYSTEM
