"""The links between each pair of GPUs, in the terms of `nvidia-smi topo -m`. PURE.

Source: NVML API reference, nvmlGpuTopologyLevel_t; the legend of `nvidia-smi topo -m`.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from device_plugin.plan.link_weights import count_direct_links, count_switch_links, pair_weight, pci_path
from gpu_core.domain.inventory import Fault, Gpu, Inventory, PciPath

TERMS = {
    PciPath.BOARD: ("PSB", "PCIe: the PCIe switch of one board"),
    PciPath.SWITCH: ("PIX", "PCIe: one PCIe switch"),
    PciPath.SWITCHES: ("PXB", "PCIe: several PCIe switches, without a host bridge of the CPU"),
    PciPath.HOST_BRIDGE: ("PHB", "PCIe: one host bridge of the CPU"),
    PciPath.NODE: ("NODE", "PCIe: several host bridges of one NUMA node"),
    PciPath.SYSTEM: ("SYS", "PCIe, and the link between NUMA nodes"),
}
"""Path -> the term of nvidia-smi, and what it means."""
SELF = "X"
NVLINK = "NV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two GPUs, and the links between them. direct: NVLinks from GPU to GPU. switched: NVLinks of each GPU to common NVSwitches.

    weight: what the pair adds to the link score of an allocation.
    """

    one: Gpu
    other: Gpu
    direct: int
    switched: int
    path: PciPath
    weight: int

    @property
    def nvlinks(self) -> int:
        return self.direct + self.switched

    @property
    def term(self) -> str:
        """The fastest link: `NV18`, or the PCI path."""
        return f"{NVLINK}{self.nvlinks}" if self.nvlinks else TERMS[self.path][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """gpus: in NVML's order. pairs: each pair of GPUs once, in this order. faults: GPUs that cannot be read.

    cpus: NUMA node -> its CPUs, for example `0-15,32-47`; empty if unknown.
    """

    gpus: tuple[Gpu, ...]
    pairs: tuple[Pair, ...]
    faults: tuple[Fault, ...] = ()
    cpus: Mapping[int, str] = field(default_factory=dict)
    is_simulated: bool = False

    def pairs_of(self, gpu: Gpu) -> Iterator[tuple[Gpu, Pair]]:
        """Yields each other GPU, in NVML's order, and the pair."""
        for pair in self.pairs:
            if gpu.uuid == pair.one.uuid:
                yield pair.other, pair
            elif gpu.uuid == pair.other.uuid:
                yield pair.one, pair

    @property
    def mig_gpus_with_nvlinks(self) -> tuple[Gpu, ...]:
        """GPUs whose NVLinks are not used, because MIG devices cannot use NVLinks. Source: NVIDIA MIG user guide."""
        return tuple(
            gpu for gpu in self.gpus if gpu.mig_enabled and any(pair.nvlinks for _, pair in self.pairs_of(gpu))
        )


def describe_topology(inventory: Inventory, cpus: Mapping[int, str]) -> Topology:
    """cpus: see Topology."""
    return Topology(
        gpus=inventory.gpus,
        pairs=tuple(itertools.starmap(describe_pair, itertools.combinations(inventory.gpus, 2))),
        faults=inventory.faults,
        cpus=cpus,
        is_simulated=inventory.simulated,
    )


def describe_pair(one: Gpu, other: Gpu) -> Pair:
    return Pair(
        one=one,
        other=other,
        direct=count_direct_links(one, other),
        switched=count_switch_links(one, other),
        path=pci_path(one, other),
        weight=pair_weight(one, other),
    )


def list_numbers(gpus: tuple[Gpu, ...]) -> str:
    """Returns `GPU 3` or `GPUs 0, 1, 4`."""
    return f"GPU{'s' if len(gpus) > 1 else ''} {', '.join(str(gpu.index) for gpu in gpus)}"
