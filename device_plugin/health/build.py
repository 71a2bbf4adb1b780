"""Where the health of GPUs meets its concrete edges."""

from collections.abc import Callable, Iterator
from pathlib import Path

from device_plugin.cdi.roots import OWN_ROOT, find_roots
from device_plugin.health.cluster import NodeCluster
from device_plugin.health.facts import read_facts
from device_plugin.health.keeper import HealthKeeper
from device_plugin.health.startup_taint import StartupTaint
from device_plugin.health.state_file import StateFile, read_boot_id
from device_plugin.health.teller import Teller
from device_plugin.health.watch import GpuWatch
from device_plugin.settings import PluginSettings, ResponseSettings
from node_core.assembly import Edges
from node_core.domain.inventory import Inventory
from node_core.domain.verdict import NodeFacts
from node_core.errors import NodeError
from node_core.host.missing_nodes import note_missing_nodes
from node_core.host.root import HostRoot
from node_core.kubelet.podresources import SOCKET, read_holders, select_holders
from node_core.runtime.services import Services


def build_health(
    agent: str, settings: PluginSettings, edges: Edges, services: Services
) -> Callable[[Callable[[], None]], HealthKeeper]:
    """How the agent's thread gets its keeper. The teller runs beside the agents."""
    cluster = NodeCluster(edges.node, agent)
    holders = _holders(settings.kubelet_socket)
    taint = settings.startup_taint
    startup = None if taint is None else StartupTaint(edges.node.api, agent, taint)
    teller = Teller(cluster, holders, services, agent=agent, node_name=edges.common.node_name, startup=startup)
    edges.parts.append(teller)

    def make(wake: Callable[[], None]) -> HealthKeeper:
        return HealthKeeper(
            agent,
            services,
            wake,
            file=state_file(agent, edges),
            sink=teller,
            facts=lambda error: facts_of(edges, settings, error),
            watch=lambda box, uuid_of: GpuWatch(
                edges.nvml,
                box,
                uuid_of,
                edges.inventory.forget,
                kernel_log=edges.scenario is None,
                releases=edges.releases,
            ),
        )

    return make


def look_with_nodes(edges: Edges, responses: ResponseSettings) -> Inventory:
    """A look that also says which GPUs have no device node. Raises NvmlError."""
    inventory = edges.inventory.look()
    dev = dev_seen(edges, responses)
    return inventory if dev is None else note_missing_nodes(inventory, dev)


def dev_seen(edges: Edges, responses: ResponseSettings) -> HostRoot | None:
    """The root whose /dev the host's is; None where we see only that of our own container."""
    found = find_roots(responses.driver_root, responses.dev_root, responses.driver_root_seen).dev_seen
    return None if found == OWN_ROOT != edges.common.host_root else HostRoot(found)


def facts_of(edges: Edges, settings: PluginSettings, error: NodeError | None) -> NodeFacts:
    """This machine says nothing of simulated GPUs, which are there by their scenario."""
    if edges.scenario is None:
        return read_facts(edges.root, dev_seen(edges, settings.responses), error)
    code = None if error is None else getattr(error, "code", type(error).__name__)
    return NodeFacts(gpus_on_pci=bool(edges.scenario.gpus), code=code, error=None if error is None else str(error))


def state_file(agent: str, edges: Edges) -> StateFile:
    folder = edges.common.lock_dir
    path = None if folder is None else folder / f"{agent}.{edges.common.node_name}.health.json"
    return StateFile(path, read_boot_id())


def _holders(kubelet_socket: Path) -> Callable[[frozenset[str]], Iterator[tuple[str, str]]]:
    """The kubelet says it at a socket in a folder beside that of the plugins."""
    beside = kubelet_socket.parent.parent / SOCKET.parent.name / SOCKET.name
    return lambda devices: select_holders(read_holders(beside), devices)
