"""The gfd agent: labels of the GPUs. If a part of the discovery fails, the published labels of that part are retained."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog

from gfd.labelers import LabelOptions, labels, machine, mode, topology, vgpu
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies, choose_writer, mark_simulation, select_config
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.sharing import is_mps_blocked_by_mig
from gpu_core.host.pci_config import VgpuScan, read_vgpus
from gpu_core.nvml.source import is_released
from node_core.domain.desired import CollectorResult, Desired
from node_core.domain.labels import GFD_TIMESTAMP, Labels
from node_core.domain.pci import PciAddress
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import GFD_TAINTS_ANNOTATION
from node_core.errors import HostReadError, NvmlError
from node_core.host.inotify import DirectoryWatch
from node_core.host.pci import DEVICES, check_sysfs
from node_core.host.root import HostRoot
from node_core.runtime.config_selector import ReadSettings
from node_core.runtime.control_loop import Timers
from node_core.runtime.label_controller import LabelController, LabelLoop
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, Resync
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gfd"
MIG_NODES = "nvidia-caps"
"""Folder in /dev. The tools of the driver create a device node there for each MIG instance, and remove it with the instance."""
MIN_INTERVAL = 0.2
GPU_KEYS = ("nvidia.com/gpu.", "nvidia.com/mig", "nvidia.com/mps.")
"""Prefixes of labels that describe the GPUs, not the driver or the machine."""
DRIVER_KEYS = ("nvidia.com/cuda.",)
NVML_KEYS = (*GPU_KEYS, *DRIVER_KEYS, GFD_TIMESTAMP)
VGPU_KEYS = (f"{vgpu.VGPU}.",)

T = TypeVar("T")
SettingsProvider = Callable[[], GfdSettings | None]
"""Returns the current settings; None while they are unknown."""


class StateLogger:
    """Logs states of the node that need attention, once when a state begins."""

    def __init__(self) -> None:
        self._active: set[str] = set()

    def report(self, event: str, is_active: bool, why: str) -> None:
        if is_active and event not in self._active:
            log.warning(event, agent=NAME, why=why)
        (self._active.add if is_active else self._active.discard)(event)


def build_agent(
    settings: GfdSettings,
    dependencies: Dependencies,
    services: Services,
    *,
    reread: ReadSettings[GfdSettings] | None = None,
) -> LabelLoop:
    """Builds an agent that is not started yet. gfd sets no taints, and removes the taints that earlier versions of gfd have set.

    reread: builds the settings from the config that a label selects; required with `settings.named`.
    """
    dependencies.uses_nvml = True
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)
    owner = FieldOwner(manager=NAME, taints_annotation=GFD_TAINTS_ANNOTATION)
    collect = build_collector(
        select_settings(settings, reread, dependencies, services, lambda: mailbox.post(InputsChanged())),
        dependencies,
        services,
    )
    controller = LabelController(
        NAME,
        collect=lambda _: mark_simulation(dependencies, Desired(results=collect())),
        writer=choose_writer(dependencies, settings.publish, settings.output_file, owner, namespace=settings.namespace),
        services=services,
        timers=timers,
        volatile=frozenset({GFD_TIMESTAMP}),
    )

    def collect_again() -> None:
        dependencies.inventory.invalidate()
        mailbox.post(Resync())

    dependencies.background_services.append(
        DirectoryWatch(dependencies.roots().dev_mount / "dev" / MIG_NODES, collect_again, min_interval=MIN_INTERVAL)
    )
    return LabelLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))


def select_settings(
    settings: GfdSettings,
    reread: ReadSettings[GfdSettings] | None,
    dependencies: Dependencies,
    services: Services,
    changed: Callable[[], None],
) -> SettingsProvider:
    """Returns a function that returns these settings, or the settings of the config that a label of the Node selects.

    changed: called in any thread when the settings may have changed. Adds the required watches to `dependencies`.
    """
    selector = select_config(NAME, settings, dependencies, services, reread, changed)
    node = dependencies.node
    if settings.named is not None:
        node.on_label_change(settings.named.label, changed)

    def read_labels() -> Labels | None:
        return node.api.get().labels if dependencies.common.oneshot else node.labels

    return lambda: selector.select(read_labels)


def build_collector(
    current: SettingsProvider, dependencies: Dependencies, services: Services
) -> Callable[[], tuple[CollectorResult, ...]]:
    """Returns a function that discovers the GPUs once. A failure is reported to readiness, and the labels that depend on it are retained.

    All labels are retained while the settings are unknown.
    """
    states = StateLogger()

    def collect() -> tuple[CollectorResult, ...]:
        settings = current()
        if settings is None:
            return (CollectorResult(name="config", labels=None, catch_all=True),)
        vgpus = collect_vgpus(dependencies, services, states)
        try:
            inventory = dependencies.inventory.discover()
        except (NvmlError, HostReadError) as error:
            is_expected = (
                is_released(error) and not dependencies.common.oneshot
            )  # the agent discovers again after the release
            services.readiness.report(f"{NAME}/gpus", None if is_expected else str(error))
            return (CollectorResult(name="nvml", labels=None, owns=NVML_KEYS), vgpus)
        services.readiness.report(f"{NAME}/gpus", None)
        is_blocked = is_mps_blocked_by_mig(inventory, settings.sharing)
        states.report("mps_blocked_by_mig", is_blocked, "MPS does not support GPUs in MIG mode, so no GPU is shared")
        options = LabelOptions(
            mig_strategy=settings.mig_strategy,
            machine=read_machine(settings, dependencies, services),
            timestamp=int(services.wall()) if settings.timestamp else None,
            sharing=settings.sharing,
            rules=settings.rules,
            pci_classes=collect_classes(dependencies, services, inventory),
        )
        report_numa(services, inventory)
        return (*collect_labels(inventory, options), vgpus)

    return collect


def collect_labels(inventory: Inventory, options: LabelOptions) -> tuple[CollectorResult, ...]:
    """Returns the labels of an inventory. PURE.

    If some GPU cannot be read, the published labels of GPUs, including the count, are retained. If no GPU can be read, the labels of the
    driver are retained, too. The labels of the machine, the mode and NUMA are retained while their files cannot be read.
    """
    results = [CollectorResult(name="nvml", labels=labels(inventory, options), owns=NVML_KEYS)]
    if inventory.gpus and options.machine is None:
        results.append(CollectorResult(name="machine", labels=None, owns=(machine.KEY,)))
    if inventory.gpus and options.pci_classes is None:
        results.append(CollectorResult(name="gpu-mode", labels=None, owns=(mode.KEY,)))
    if any(gpu.numa_fault for gpu in inventory.gpus):
        results.append(CollectorResult(name="gpu-numa", labels=None, owns=(f"{topology.NUMA}.",)))
    if inventory.faults or any(gpu.mig_faults for gpu in inventory.gpus):
        unknown = GPU_KEYS if inventory.gpus else (*GPU_KEYS, *DRIVER_KEYS)
        results.append(CollectorResult(name="faulty-gpus", labels=None, owns=unknown))
    return tuple(results)


def collect_vgpus(dependencies: Dependencies, services: Services, states: StateLogger) -> CollectorResult:
    """Reads vGPUs from PCI. Simulated GPUs are never vGPUs."""
    scan = _try_read(services, "vgpus", lambda: VgpuScan() if dependencies.simulated else read_vgpus(dependencies.root))
    if scan is not None:
        why = "the kernel shows the complete PCI configuration space of GPUs to privileged processes only"
        states.report("vgpus_unknown", bool(scan.unreadable), why)
    return CollectorResult(name="vgpu", labels=None if scan is None else vgpu.labels(scan), owns=VGPU_KEYS)


def collect_classes(
    dependencies: Dependencies, services: Services, inventory: Inventory
) -> Mapping[PciAddress, str] | None:
    """Returns the class codes of the GPUs on the PCI bus; None if they cannot be read."""
    if dependencies.simulated:
        return dependencies.simulated.pci_classes
    return _try_read(services, "pci", lambda: read_classes(dependencies.root, inventory))


def read_classes(root: HostRoot, inventory: Inventory) -> dict[PciAddress, str]:
    """Reads the class codes of the GPUs on the PCI bus. Raises HostReadError if sysfs or the file of a GPU cannot be read."""
    check_sysfs(root)
    addresses = (gpu.address for gpu in inventory.gpus if gpu.address is not None)
    texts = ((address, root.text(f"{DEVICES}/{address}/class")) for address in addresses)
    return {address: text.lower().removeprefix("0x") for address, text in texts if text}


def read_machine(settings: GfdSettings, dependencies: Dependencies, services: Services) -> str | None:
    """Reads the machine type. Returns an empty text if the file is missing or not configured; None if the file cannot be read."""
    file = settings.machine_type_file
    return _try_read(services, "machine", lambda: (dependencies.root.text(file) if file else "") or "")


def report_numa(services: Services, inventory: Inventory) -> None:
    """Reports the first NUMA node that could not be read to readiness."""
    services.readiness.report(f"{NAME}/numa", next(filter(None, (gpu.numa_fault for gpu in inventory.gpus)), None))


def _try_read(services: Services, check: str, read: Callable[[], T]) -> T | None:
    """Returns the result of `read`, or None after a HostReadError, which is reported to readiness."""
    try:
        result = read()
    except HostReadError as error:
        services.readiness.report(f"{NAME}/{check}", str(error))
        return None
    services.readiness.report(f"{NAME}/{check}", None)
    return result
