"""Connects an attempt with NVML, the kubelet, the API server and the files of the node."""

from collections.abc import Callable
from functools import partial

from gpu_core.assembly import Dependencies
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import Pause
from gpu_core.domain.inventory import Inventory
from gpu_core.host.mig_status import MigStatusFile, mig_status_path
from gpu_core.mig.clients_file import DEFAULT_SERVICES, decode_services
from gpu_core.nvml.releasable import ReleasableNvml
from mig_manager.changer import LayoutChanger
from mig_manager.clients import OtherClients, open_services
from mig_manager.configs import build_configs
from mig_manager.hooks import HookRunner
from mig_manager.journal import Journal, journal_path
from mig_manager.plugin_status import PluginStatus
from mig_manager.reboot import FILE, RebootPolicy, reboot_host, refuse_simulated
from mig_manager.reset import GpuReset, RunReset, SmiReset, find_smi, refuse_reset
from mig_manager.settings import MigSettings
from mig_manager.surroundings import Surroundings
from mig_manager.usage import UsageReader
from node_core.decode import read_yaml
from node_core.host.boot_id import read_boot_id
from node_core.kube.pods import PodApi
from node_core.kubelet.podresources import SOCKET
from node_core.kubelet.sockets import DEVICE_PLUGIN_DIR
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from node_core.runtime.services import Services


def build_changer(
    settings: MigSettings,
    dependencies: Dependencies,
    services: Services,
    status: PluginStatus,
    *,
    agent: str,
    on_change: Callable[[], None],
    on_configs: Callable[[], None],
) -> LayoutChanger:
    """on_change: called when an attempt begins to change layouts. on_configs: called in any thread when the configs may have changed."""
    nvml = ReleasableNvml(dependencies.nvml)
    dependencies.nvml_release.add(nvml)
    socket = settings.mig_pod_resources_socket or SOCKET
    usage = UsageReader(socket=socket, folder=socket.parent.parent / DEVICE_PLUGIN_DIR.name)

    def discover() -> Inventory:
        dependencies.inventory.invalidate()
        return dependencies.inventory.discover()

    reset = _build_reset(settings, dependencies)
    surroundings = Surroundings(
        open_nvml=nvml.open,
        discover=discover,
        select=build_configs(settings, dependencies, services, on_configs).select,
        read_usage_of=usage.read,
        set_leaving=status.set_leaving,
        reset=reset.reset,
        pods=lambda: PodApi(dependencies.node.api),
        journal=Journal(journal_path(settings.state_dir, is_simulated=dependencies.simulated is not None)),
        end_reset=reset.end,
        reboot=_build_reboot(settings, is_simulated=dependencies.simulated is not None),
        clients=build_clients(settings, dependencies, agent),
        hooks=HookRunner(path=settings.hooks_file),
    )
    return LayoutChanger(surroundings, on_change)


def build_clients(settings: MigSettings, dependencies: Dependencies, agent: str) -> OtherClients:
    """Also with the settings off: an earlier process may have stopped clients. agent: the field manager."""
    api = dependencies.node.api
    daemon_sets = DaemonSetPause(api=api, list_pods=PodApi(api).list_on_node, manager=agent, pause=Pause.MIG_CHANGE)
    return OtherClients(
        daemon_sets=daemon_sets,
        services=open_services(settings.state_dir) if settings.state_dir and not dependencies.simulated else None,
        components=settings.pause_components,
        read_services=partial(read_services, settings),
    )


def read_services(settings: MigSettings) -> tuple[str, ...]:
    """Returns the patterns of the services to stop; none if the setting is off. Raises SettingsError."""
    if not settings.stop_host_services:
        return ()
    path = settings.gpu_clients_file
    return DEFAULT_SERVICES if path is None else decode_services(read_yaml(path), source=str(path))


def build_plugin_status(dependencies: Dependencies) -> PluginStatus:
    lock_dir = dependencies.common.lock_dir
    path = None if lock_dir is None else mig_status_path(lock_dir, dependencies.common.node_name)
    return PluginStatus(MigStatusFile(path, read_boot_id()))


def _build_reset(settings: MigSettings, dependencies: Dependencies) -> GpuReset:
    lock_dir = dependencies.common.lock_dir or DEFAULT_DIRECTORY
    return GpuReset(
        lock_dir=lock_dir,
        run=_run_reset(settings, dependencies),
        is_released=lambda: dependencies.nvml_release.is_released,
    )


def _build_reboot(settings: MigSettings, *, is_simulated: bool) -> RebootPolicy | None:
    if not settings.with_reboot or settings.state_dir is None:
        return None
    return RebootPolicy(
        path=settings.state_dir / FILE,
        boot_id=read_boot_id(),
        run=refuse_simulated if is_simulated else reboot_host,
    )


def _run_reset(settings: MigSettings, dependencies: Dependencies) -> RunReset:
    if settings.skip_reset:
        return refuse_reset
    if dependencies.simulated is not None:
        return dependencies.simulated.reset_gpus
    return SmiReset(find=partial(find_smi, dependencies.driver_root, dependencies.root, dependencies.library_dirs))
