"""Builds the health monitor and the status writer with their concrete dependencies."""

from collections.abc import Callable, Iterator
from pathlib import Path

from device_plugin.health.gpu_events import GpuEventRecorder
from device_plugin.health.monitor import HealthMonitor
from device_plugin.health.status_writer import HealthStatusWriter
from device_plugin.mig_gate import MigGate
from device_plugin.settings import PluginSettings
from gpu_core.assembly import Dependencies
from gpu_core.cdi.roots import OWN_ROOT, discover_roots
from gpu_core.discovery.node_facts import error_facts, read_facts
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.health.state_file import StateFile
from gpu_core.health.watch import GpuWatch
from gpu_core.host.mig_status import MigStatus, mig_status_path, read_mig_status
from gpu_core.host.missing_nodes import add_missing_nodes
from gpu_core.settings.nvidia_settings import ResponseSettings
from node_core.errors import NodeError
from node_core.host.boot_id import read_boot_id
from node_core.host.inotify import DirectoryWatch
from node_core.host.root import HostRoot
from node_core.kube.events import EventApi
from node_core.kubelet.podresources import SOCKET, list_pod_devices, select_pods
from node_core.runtime.services import Services
from node_core.values import replace


def build_health(
    agent: str, settings: PluginSettings, dependencies: Dependencies, services: Services, wake: Callable[[], None]
) -> HealthMonitor:
    """wake: called in any thread when the monitor has new events."""
    events = GpuEventRecorder(
        dependencies.event_recorder(services),
        lambda: EventApi(dependencies.node.api),
        _pods_of_devices(pod_resources_socket(settings)),
        agent=agent,
        node_name=dependencies.common.node_name,
    )
    return HealthMonitor(
        agent,
        services,
        wake,
        file=state_file(agent, dependencies),
        record=events.record,
        facts=lambda error: read_node_facts(dependencies, settings, error),
        watch=lambda queue, uuid_of: GpuWatch(
            dependencies.nvml,
            queue,
            uuid_of,
            dependencies.inventory.invalidate,
            kernel_log=dependencies.simulated is None,
            nvml_release=dependencies.nvml_release,
        ),
    )


def build_status_writer(
    agent: str, settings: PluginSettings, dependencies: Dependencies, services: Services
) -> HealthStatusWriter:
    """Builds the writer, which runs as a background service."""
    writer = HealthStatusWriter(dependencies.node.api, services, agent=agent, taint=settings.startup_taint)
    dependencies.background_services.append(writer)
    return writer


def build_mig_gate(
    settings: PluginSettings, dependencies: Dependencies, services: Services, wake: Callable[[], None]
) -> MigGate:
    """wake: called in any thread when mig-manager may have published something."""
    folder, boot_id = dependencies.common.lock_dir, read_boot_id()
    if folder is None:
        return MigGate(MigStatus, services.clock, is_required=False)
    path = mig_status_path(folder, dependencies.common.node_name)
    dependencies.background_services.append(DirectoryWatch(path.parent, wake))
    return MigGate(lambda: read_mig_status(path, boot_id), services.clock, is_required=settings.waits_for_mig_manager)


def discover_gpus(dependencies: Dependencies, responses: ResponseSettings) -> Inventory:
    """Discovers the inventory, and marks GPUs whose device nodes are missing. Raises NvmlError."""
    inventory = dependencies.inventory.discover()
    dev = host_dev_root(dependencies, responses)
    return inventory if dev is None else add_missing_nodes(inventory, dev)


def host_dev_root(dependencies: Dependencies, responses: ResponseSettings) -> HostRoot | None:
    """Returns the root that contains the host's /dev; None if only this container's /dev is visible."""
    mount = discover_roots(
        responses.driver_root,
        responses.dev_root,
        responses.driver_root_mount,
        loaded=dependencies.loaded_driver,
        library_dirs=responses.library_dirs,
    ).dev_mount
    return None if mount == OWN_ROOT != dependencies.common.host_root else HostRoot(mount)


def read_node_facts(dependencies: Dependencies, settings: PluginSettings, error: NodeError | None) -> NodeFacts:
    """Reads the facts of the host. For simulated GPUs, the scenario determines the facts."""
    if dependencies.simulated is None:
        return read_facts(dependencies.root, host_dev_root(dependencies, settings.responses), error)
    return replace(error_facts(error, has_gpus=dependencies.simulated.has_gpus), is_simulated=True)


def state_file(agent: str, dependencies: Dependencies) -> StateFile:
    folder = dependencies.common.lock_dir
    path = None if folder is None else folder / f"{agent}.{dependencies.common.node_name}.health.json"
    return StateFile(path, read_boot_id())


def pod_resources_socket(settings: PluginSettings) -> Path:
    """Returns the kubelet's pod-resources socket. Without a setting, its folder is next to the folder of the plugins."""
    beside = settings.kubelet_socket.parent.parent / SOCKET.parent.name / SOCKET.name
    return settings.podresources_socket or beside


def _pods_of_devices(socket: Path) -> Callable[[frozenset[str]], Iterator[tuple[str, str]]]:
    return lambda devices: select_pods(list_pod_devices(socket), devices)
