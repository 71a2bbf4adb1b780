"""One look at the GPUs, as labels. What a failing part of it would have said stays as it is on the Node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from gfd.labelers import LabelOptions, labels, machine, mode, topology, vgpu
from gfd.premium import PremiumKeeper
from node_core.assembly import CLUSTER, Destination, Edges, choose_publisher, open_configs
from node_core.decode import Document
from node_core.domain.inventory import Inventory, PciAddress
from node_core.domain.labels import Collected, Labels
from node_core.domain.premium import PremiumRule
from node_core.domain.resources import ResourceNames
from node_core.domain.sharing import Sharing, mps_hindered
from node_core.errors import HostReadError, NvmlError
from node_core.host.inotify import DirectoryWatch
from node_core.host.nvml.source import is_released
from node_core.host.pci import DEVICES, check_sysfs
from node_core.host.pci_config import VgpuScan, read_vgpus
from node_core.host.root import HostRoot
from node_core.publish.outputs import OutputsPublisher
from node_core.publish.taints import TaintKeeper
from node_core.runtime.followed import Followed
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.messages import Pass, RulesChanged
from node_core.runtime.named_config import NamedConfigOptions, NamedConfigs
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gfd"
TIMESTAMP = "nvidia.com/gfd.timestamp"
OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/gfd")
MIG_NODES = "nvidia-caps"
"""In /dev: the driver's tools make a node in it for each MIG instance, and take it away with it."""
QUIET = 0.2
GPU_KEYS = ("nvidia.com/gpu.", "nvidia.com/mig", "nvidia.com/mps.")
"""Labels that describe the GPUs themselves, not the driver or the machine."""
DRIVER_KEYS = ("nvidia.com/cuda.",)
NVML_KEYS = (*GPU_KEYS, *DRIVER_KEYS, TIMESTAMP)
VGPU_KEYS = (f"{vgpu.VGPU}.",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GfdSettings:
    """What gfd takes beside the common settings. sharing, names, premium: from the config file.

    namespace: of the NodeFeature object; None for that of our pod. named: where the configs are that a label chooses from.
    """

    mig_strategy: Literal["none", "single", "mixed"] = "none"
    timestamp: bool = True
    machine_type_file: str = "/sys/class/dmi/id/product_name"
    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE
    namespace: str | None = None
    sharing: Sharing | None = None
    names: ResourceNames = field(default_factory=ResourceNames)
    premium: tuple[PremiumRule, ...] = ()
    named: NamedConfigOptions | None = None


Reread = Callable[[Document | None], GfdSettings]
"""The settings with this config, or with none. Raises SettingsError."""
Current = Callable[[], GfdSettings | None]
"""The settings that count now; None while that cannot be told."""


class Warnings:
    """States of the node that people should know of: one line when a state begins, none while it stays."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def tell(self, event: str, holds: bool, why: str) -> None:
        if holds and not self._known.get(event):
            log.warning(event, agent=NAME, why=why)
        self._known[event] = holds


def build_agent(settings: GfdSettings, edges: Edges, services: Services, *, reread: Reread | None = None) -> LabelAgent:
    """An agent that is not started yet. Where it publishes to the cluster it keeps the premium taints, also those of rules now gone.

    reread: how settings come of a config that a label names; needed with `settings.named`.
    """
    edges.asks_nvml = True
    premium = PremiumKeeper()
    publisher = choose_publisher(edges, settings.publish, settings.output_file, NAME, namespace=settings.namespace)
    if settings.publish in CLUSTER:
        taints = TaintKeeper(edges.node.api, NAME)
        publisher = OutputsPublisher(publisher, outputs=premium.outputs, taints=taints)

    def look_again() -> None:
        edges.inventory.forget()
        agent.mailbox.post(Pass())

    current = follow(settings, reread, edges, services, lambda: agent.mailbox.post(RulesChanged()))
    agent = LabelAgent(
        NAME,
        collect=collector(current, edges, services, premium),
        publisher=publisher,
        services=services,
        lock=edges.lock(NAME),
        volatile=frozenset({TIMESTAMP}),
    )
    edges.parts.append(DirectoryWatch(edges.dev / MIG_NODES, look_again, quiet=QUIET))
    return agent


def follow(
    settings: GfdSettings, reread: Reread | None, edges: Edges, services: Services, changed: Callable[[], None]
) -> Current:
    """These settings, or those of the config that the Node's label names. changed: called in any thread when there may be others.

    What watches for that is left with the edges.
    """
    named = settings.named
    if named is None or reread is None:
        return lambda: settings
    configs = NamedConfigs(open_configs(edges, named.place, services, changed), named, reread)
    node = edges.node
    node.follow_label(named.label, changed)

    def read_labels() -> Labels | None:
        return node.api.get().labels if edges.common.oneshot else node.labels

    return Followed(NAME, configs, read_labels, services)


def collector(
    current: Current, edges: Edges, services: Services, premium: PremiumKeeper
) -> Callable[[], tuple[Collected, ...]]:
    """The function that looks once. A failure is reported to readiness and leaves its labels to what is known.

    While nobody knows what counts every label stays. The labels of premium rules come first, so that no rule can change what gfd
    itself says.
    """
    warnings = Warnings()

    def collect() -> tuple[Collected, ...]:
        settings = current()
        if settings is None:
            return (Collected(name="config", labels=None, rest=True),)
        rules = premium.by(settings.premium)
        vgpus = collect_vgpus(edges, services, warnings)
        try:
            inventory = edges.inventory.look()
        except (NvmlError, HostReadError) as error:
            services.readiness.report(f"{NAME}/gpus", None if is_released(error) else str(error))
            return (*rules.unseen(), Collected(name="nvml", labels=None, owns=NVML_KEYS), vgpus)
        services.readiness.report(f"{NAME}/gpus", None)
        hindered = mps_hindered(inventory, settings.sharing)
        warnings.tell("mps_hindered", hindered, "a GPU is in MIG mode, which MPS does not go with: nothing is shared")
        options = LabelOptions(
            mig_strategy=settings.mig_strategy,
            machine=collect_machine(settings, edges, services),
            timestamp=int(services.wall()) if settings.timestamp else None,
            sharing=settings.sharing,
            names=settings.names,
            pci_classes=collect_classes(edges, services, inventory),
        )
        report_numa(services, inventory)
        return (*rules.look(inventory), *collect_labels(inventory, options), vgpus)

    return collect


def collect_labels(inventory: Inventory, options: LabelOptions) -> tuple[Collected, ...]:
    """The labels of one look at NVML. Pure.

    While some GPU cannot be read, what was published of the GPUs before stays, its count among it: a failure is no removal; while none
    can, so does what was published of the driver. So do the machine, the mode and what is said of NUMA while their files cannot be read.
    """
    parts = [Collected(name="nvml", labels=labels(inventory, options), owns=NVML_KEYS)]
    if inventory.gpus and options.machine is None:
        parts.append(Collected(name="machine", labels=None, owns=(machine.KEY,)))
    if inventory.gpus and options.pci_classes is None:
        parts.append(Collected(name="gpu-mode", labels=None, owns=(mode.KEY,)))
    if any(gpu.numa_fault for gpu in inventory.gpus):
        parts.append(Collected(name="gpu-numa", labels=None, owns=(f"{topology.NUMA}.",)))
    if inventory.faults or any(gpu.mig_faults for gpu in inventory.gpus):
        unseen = GPU_KEYS if inventory.gpus else (*GPU_KEYS, *DRIVER_KEYS)
        parts.append(Collected(name="faulty-gpus", labels=None, owns=unseen))
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
        return {address: gpu.class_code for address, gpu in edges.scenario.on_pci.items()}
    try:
        classes = read_classes(edges.root, inventory)
    except HostReadError as error:
        services.readiness.report(f"{NAME}/pci", str(error))
        return None
    services.readiness.report(f"{NAME}/pci", None)
    return classes


def read_classes(root: HostRoot, inventory: Inventory) -> dict[PciAddress, str]:
    """Without those that the bus does not have. Raises HostReadError where one is there and cannot be read, or there is no sysfs."""
    check_sysfs(root)
    addresses = (gpu.address for gpu in inventory.gpus if gpu.address is not None)
    found = ((address, root.text(f"{DEVICES}/{address}/class")) for address in addresses)
    return {address: text.lower().removeprefix("0x") for address, text in found if text}


def collect_machine(settings: GfdSettings, edges: Edges, services: Services) -> str | None:
    """The machine type, empty where the file is missing or none is named; None where it cannot be read."""
    try:
        found = edges.root.text(settings.machine_type_file) if settings.machine_type_file else ""
    except HostReadError as error:
        services.readiness.report(f"{NAME}/machine", str(error))
        return None
    services.readiness.report(f"{NAME}/machine", None)
    return found or ""


def report_numa(services: Services, inventory: Inventory) -> None:
    """To readiness: the first NUMA node that could not be read."""
    services.readiness.report(f"{NAME}/numa", next(filter(None, (gpu.numa_fault for gpu in inventory.gpus)), None))
