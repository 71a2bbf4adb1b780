"""One look at the GPUs, as labels. What a failing part of it would have said stays as it is on the Node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from gfd.labelers import LabelOptions, labels, mode, vgpu
from gfd.labelers.resource import mps_hindered
from node_core.assembly import Destination, Edges, choose_publisher
from node_core.domain.inventory import Inventory, PciAddress
from node_core.domain.labels import Collected
from node_core.domain.premium import PremiumRule
from node_core.domain.sharing import Sharing
from node_core.errors import HostReadError, NvmlError
from node_core.host.pci import DEVICES
from node_core.host.pci_config import VgpuScan, read_vgpus
from node_core.host.root import HostRoot
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.premium import Premium, TaintingPublisher, TaintKeeper
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gfd"
TIMESTAMP = "nvidia.com/gfd.timestamp"
OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/gfd")
GPU_KEYS = ("nvidia.com/gpu.", "nvidia.com/mig", "nvidia.com/mps.")
"""Labels that describe the GPUs themselves, not the driver or the machine."""
NVML_KEYS = (*GPU_KEYS, "nvidia.com/cuda.", TIMESTAMP)
VGPU_KEYS = (f"{vgpu.VGPU}.",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GfdSettings:
    """What gfd takes beside the common settings. sharing, premium: from the config file.

    namespace: of the NodeFeature object; None for that of our pod.
    """

    mig_strategy: Literal["none", "single", "mixed"] = "none"
    timestamp: bool = True
    machine_type_file: str = "/sys/class/dmi/id/product_name"
    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE
    namespace: str | None = None
    sharing: Sharing | None = None
    premium: tuple[PremiumRule, ...] = ()


class Warnings:
    """States of the node that people should know of: one line when a state begins, none while it stays."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def tell(self, event: str, holds: bool, why: str) -> None:
        if holds and not self._known.get(event):
            log.warning(event, agent=NAME, why=why)
        self._known[event] = holds


def build_agent(settings: GfdSettings, edges: Edges, services: Services) -> LabelAgent:
    """An agent that is not started yet. Where it publishes to the cluster it keeps the premium taints, also those of rules now gone."""
    premium = Premium(settings.premium)
    publisher = choose_publisher(edges, settings.publish, settings.output_file, NAME, namespace=settings.namespace)
    if settings.publish in ("node", "node-feature"):
        publisher = TaintingPublisher(publisher, TaintKeeper(edges.node.api, NAME), premium)
    return LabelAgent(
        NAME,
        collect=collector(settings, edges, services, premium),
        publisher=publisher,
        services=services,
        lock=edges.lock(NAME),
        volatile=frozenset({TIMESTAMP}),
    )


def collector(
    settings: GfdSettings, edges: Edges, services: Services, premium: Premium
) -> Callable[[], tuple[Collected, ...]]:
    """The function that looks once. A failure is reported to readiness and leaves its labels to what is known.

    The labels of premium rules come first, so that no rule can change what gfd itself says.
    """
    warnings = Warnings()

    def collect() -> tuple[Collected, ...]:
        vgpus = collect_vgpus(edges, services, warnings)
        try:
            inventory = edges.inventory.look()
        except NvmlError as error:
            services.readiness.report(f"{NAME}/gpus", str(error))
            return (*premium.unseen(), Collected(name="nvml", labels=None, owns=NVML_KEYS), vgpus)
        services.readiness.report(f"{NAME}/gpus", None)
        hindered = mps_hindered(inventory, settings.sharing)
        warnings.tell("mps_hindered", hindered, "a GPU is in MIG mode, which MPS does not go with: nothing is shared")
        options = LabelOptions(
            mig_strategy=settings.mig_strategy,
            machine=read_machine(settings, edges),
            timestamp=int(services.wall()) if settings.timestamp else None,
            sharing=settings.sharing,
            pci_classes=collect_classes(edges, services, inventory),
        )
        return (*premium.look(inventory), *collect_labels(inventory, options), vgpus)

    return collect


def collect_labels(inventory: Inventory, options: LabelOptions) -> tuple[Collected, ...]:
    """The labels of one look at NVML. Pure.

    While some GPU cannot be read, what was published of the GPUs before stays, its count among it: a failure is no removal. So does the
    mode while PCI cannot be read.
    """
    parts = [Collected(name="nvml", labels=labels(inventory, options), owns=NVML_KEYS)]
    if inventory.gpus and options.pci_classes is None:
        parts.append(Collected(name="gpu-mode", labels=None, owns=(mode.KEY,)))
    if inventory.faults or any(gpu.mig_faults for gpu in inventory.gpus):
        parts.append(Collected(name="faulty-gpus", labels=None, owns=GPU_KEYS))
    return tuple(parts)


def collect_vgpus(edges: Edges, services: Services, warnings: Warnings) -> Collected:
    """What PCI says of vGPUs; simulated GPUs are none."""
    try:
        scan = VgpuScan() if edges.scenario else read_vgpus(edges.root)
    except HostReadError as error:
        services.readiness.report(f"{NAME}/vgpus", str(error))
        return Collected(name="vgpu", labels=None, owns=VGPU_KEYS)
    services.readiness.report(f"{NAME}/vgpus", None)
    why = "the kernel shows the PCI configuration space of GPUs in full to a privileged process only"
    warnings.tell("vgpus_unknown", bool(scan.hidden), why)
    return Collected(name="vgpu", labels=vgpu.labels(scan), owns=VGPU_KEYS)


def collect_classes(edges: Edges, services: Services, inventory: Inventory) -> Mapping[PciAddress, str] | None:
    """The class codes of the GPUs that PCI knows; None where reading failed."""
    if edges.scenario:
        return {gpu.address: gpu.class_code for gpu in edges.scenario.gpus}
    try:
        classes = read_classes(edges.root, inventory)
    except HostReadError as error:
        services.readiness.report(f"{NAME}/pci", str(error))
        return None
    services.readiness.report(f"{NAME}/pci", None)
    return classes


def read_classes(root: HostRoot, inventory: Inventory) -> dict[PciAddress, str]:
    """Without those that the bus does not have. Raises HostReadError where one is there and cannot be read."""
    addresses = (gpu.address for gpu in inventory.gpus if gpu.address is not None)
    found = ((address, root.text(f"{DEVICES}/{address}/class")) for address in addresses)
    return {address: text.lower().removeprefix("0x") for address, text in found if text}


def read_machine(settings: GfdSettings, edges: Edges) -> str:
    """The machine type, or `unknown` where the file is missing, empty or not ours to read."""
    try:
        return edges.root.text(settings.machine_type_file) or "unknown"
    except HostReadError:
        return "unknown"
