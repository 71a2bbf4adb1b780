"""Connects the driver with NVML, the kubelet, the API server and the files of the node."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dra_driver.agent import NAME, NOT_REGISTERED, STOP_SECONDS, DraController, DraDiscovery, Parts
from dra_driver.claims.driver_edits import DriverEdits
from dra_driver.claims.hardware import NodeHardware
from dra_driver.claims.mps_daemons import ClaimDaemons
from dra_driver.claims.preparer import ClaimPreparer
from dra_driver.claims.specs import ClaimSpecs
from dra_driver.claims.store import ClaimStore
from dra_driver.claims.surroundings import Surroundings
from dra_driver.claims.time_slices import TimeSlices
from dra_driver.kubelet.health import HealthBroadcaster
from dra_driver.kubelet.plugin import DraSockets, PluginPaths, plugin_paths
from dra_driver.kubelet.services import dra_methods, registration_methods
from dra_driver.settings import DraSettings
from dra_driver.slices.api import SliceApi
from dra_driver.slices.publisher import SlicePublisher
from dra_driver.slices.taints import TaintEffect
from gpu_core.assembly import Dependencies
from gpu_core.domain.health import HealthPolicy
from gpu_core.domain.inventory import Inventory
from gpu_core.health.state_file import StateFile
from gpu_core.health.tracker import HealthTracker
from gpu_core.health.watch import GpuWatch
from gpu_core.health.xid_queue import XidQueue
from gpu_core.nvml.poller import InventoryPoller
from gpu_core.nvml.releasable import ReleasableNvml
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.boot_id import read_boot_id
from node_core.host.inotify import DirectoryWatch
from node_core.host.pci import read_pcie_root
from node_core.kube.resource_claims import ResourceClaimApi
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, Wake
from node_core.runtime.services import Services

THREADS = 8
"""Claims whose objects are read at once. GPUs are changed for one claim at a time."""


class Registration:
    """What the kubelet reported last. Thread-safe."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.status: str | None = NOT_REGISTERED
        self._wake = wake

    def report(self, error: str | None) -> None:
        self.status = None if error is None else f"the kubelet refuses the driver: {error}"
        self._wake()


def build_agent(settings: DraSettings, dependencies: Dependencies, services: Services) -> ControlLoop[DraController]:
    """Builds the agent without starting it. Adds its threads to the services of the process."""
    dependencies.uses_nvml = True
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)

    def wake() -> None:
        mailbox.post(Wake())

    node_name = dependencies.common.node_name
    paths = plugin_paths(settings.kubelet_root, settings.pod_uid)
    hardware = build_hardware(settings, dependencies)
    programs = _driver_edits(settings, dependencies).programs
    store = ClaimStore(paths.claims_file, read_boot_id())
    tracker, xids = HealthTracker(HealthPolicy()), XidQueue(wake)
    preparer = ClaimPreparer(
        Surroundings(
            pool=node_name,
            hardware=hardware,
            claims=ResourceClaimApi(dependencies.node.api),
            store=store,
            specs=ClaimSpecs(settings.claim_cdi_dir),
            daemons=ClaimDaemons(settings.mps_root, programs, lambda: not dependencies.nvml_release.is_released),
            time_slices=TimeSlices(
                paths.claims_file.with_name("time-slices.json"), read_boot_id(), lambda: programs().smi
            ),
            on_change=lambda: mailbox.post(InputsChanged()),
        )
    )
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="claims")
    registration, health = Registration(wake), HealthBroadcaster(dependencies.common.interval)
    publisher = SlicePublisher(SliceApi(dependencies.node.api), services, on_recall=wake)
    poller = InventoryPoller(lambda: _discover(hardware, store, services), wake)
    watch = GpuWatch(
        dependencies.nvml,
        xids,
        tracker.uuid_of,
        dependencies.inventory.invalidate,
        kernel_log=dependencies.simulated is None,
        nvml_release=dependencies.nvml_release,
    )
    parts = Parts(
        sockets=_build_sockets(paths, preparer, health, registration, executor),
        registration=lambda: registration.status,
        poller=poller,
        tracker=tracker,
        health_file=_health_file(dependencies),
        xids=xids,
        refresh=watch.refresh,
        publisher=publisher,
        health=health,
        preparer=preparer,
        executor=executor,
        role=dependencies.lock(NAME),
    )
    dependencies.stop_seconds = STOP_SECONDS
    dependencies.background_services += [publisher, watch, DirectoryWatch(paths.registry, wake)]
    controller = DraController(services, timers, parts, pool=node_name, effect=TaintEffect(settings.taint_effect))
    return ControlLoop(controller, services, mailbox=mailbox, timers=timers)


def _driver_edits(settings: DraSettings, dependencies: Dependencies) -> DriverEdits:
    return DriverEdits(
        host=dependencies.root,
        roots=lambda: dependencies.roots(settings.driver_root, settings.dev_root),
        runtime=lambda: dependencies.node.container_runtime,
        loaded=lambda: dependencies.loaded_driver,
        library_dirs=dependencies.library_dirs,
        hook_path=settings.hook_path,
    )


def build_hardware(settings: DraSettings, dependencies: Dependencies) -> NodeHardware:
    nvml = ReleasableNvml(dependencies.nvml)
    dependencies.nvml_release.add(nvml)
    edits = _driver_edits(settings, dependencies)

    def discover() -> Inventory:
        dependencies.inventory.invalidate()
        return dependencies.inventory.discover()

    def pcie_root(address: PciAddress) -> str | None:
        try:
            return None if dependencies.simulated is not None else read_pcie_root(dependencies.root, address)
        except HostReadError:
            return None  # the attribute is optional, as on machines without sysfs

    return NodeHardware(nvml.open, discover, edits.plan, pcie_root=pcie_root, has_dynamic_mig=settings.dynamic_mig)


def _health_file(dependencies: Dependencies) -> StateFile:
    folder = dependencies.common.lock_dir
    path = None if folder is None else folder / f"{NAME}.{dependencies.common.node_name}.health.json"
    return StateFile(path, read_boot_id())


def _discover(hardware: NodeHardware, store: ClaimStore, services: Services) -> DraDiscovery:
    began = services.clock()
    return DraDiscovery(node=hardware.read(), began=began, held=store.held_gpus())


def _build_sockets(
    paths: PluginPaths,
    preparer: ClaimPreparer,
    health: HealthBroadcaster,
    registration: Registration,
    executor: ThreadPoolExecutor,
) -> DraSockets:
    return DraSockets(
        paths,
        {**dra_methods(preparer.prepare, preparer.unprepare, executor), **health.methods},
        registration_methods(str(paths.socket), registration.report),
    )
