"""The demo's cluster: API server, scheduler and kubelet stand-ins on loopback, and the three agents against them.

The agents are the ones that run in production, with the same settings a person would give them.
"""

import contextlib
import platform
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from device_plugin.settings import PluginSettings
from gfd.agent import GfdSettings
from gpunode.demo.changes import NodeState
from gpunode.run import all_agents
from nfd_lite.agent import NfdSettings
from nfd_lite.sources import ALL, SourceSettings
from node_core.assembly import Edges
from node_core.domain.inventory import Inventory
from node_core.errors import NvmlError
from node_core.runtime.log import configure_log
from node_core.runtime.process import Running
from node_core.runtime.settings import CommonSettings
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.kubelet import Kubelet
from node_core.simulate.node_agent import NodeAgent
from node_core.simulate.node_api import StoreNodeApi
from node_core.simulate.scheduler import Scheduler

PASS_SECONDS = 5.0
"""Between two looks: a simulated fault is seen while people watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs, for the tour to look at."""

    directory: Path
    node_name: str
    server: ApiServer
    kubelet: Kubelet
    node_agent: NodeAgent
    running: Running
    edges: Edges

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def log_file(self) -> Path:
        return self.directory / "agents.log"

    def node(self) -> NodeState:
        """The Node as the API server has it now."""
        return parse_node_state(self.server.store.get("nodes", self.node_name))


def parse_node_state(node: dict[str, Any]) -> NodeState:
    """Labels and extended resources of a v1 Node object."""
    status = node.get("status") or {}
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    return NodeState(
        labels=dict(node["metadata"].get("labels") or {}),
        owners=label_owners(node),
        resources={name: (capacity[name], allocatable.get(name, "0")) for name in capacity if "/" in name},
    )


def label_owners(node: dict[str, Any]) -> dict[str, str]:
    """Label -> field manager, from managedFields; an agent's own where several agree."""
    owners: dict[str, str] = {}
    for entry in node["metadata"].get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:labels", {})
        owners |= {key.removeprefix("f:"): entry["manager"] for key in fields if key.startswith("f:")}
    return owners


def name_node(host_name: str) -> str:
    """A Node name from this machine's name."""
    return re.sub(r"[^a-z0-9.-]+", "-", host_name.lower()).strip("-.")[:63] or "this-machine"


def choose_mig_strategy(inventory: Inventory) -> Literal["none", "single", "mixed"]:
    """What shows most of the node's layout: single where one profile is everywhere, mixed for other MIG layouts."""
    enabled = [gpu for gpu in inventory.gpus if gpu.mig_enabled]
    if not enabled:
        return "none"
    profiles = {device.profile for gpu in enabled for device in gpu.mig_devices}
    whole = len(enabled) == len(inventory.gpus) and all(gpu.mig_devices for gpu in enabled)
    return "single" if whole and len(profiles) == 1 else "mixed"


def has_real_gpus() -> bool:
    """Whether an NVIDIA driver answers here and counts at least one GPU."""
    try:
        return bool(Edges(_common("probe", Path("/"), None), "gpunode-demo").inventory.look().gpus)
    except NvmlError:
        return False


@contextlib.contextmanager
def open_stage(scenario: str | None) -> Iterator[Stage]:
    """scenario: a name or file; None for real GPUs. Everything ends and the folder goes when the block is left."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-demo-")))
        node_name = name_node(platform.node())
        server = stack.enter_context(ApiServer())
        server.add_node(node_name)
        server.write_kubeconfig(directory / "kubeconfig")
        kubelet, node_agent = _start_kubelet(stack, directory, server, node_name)
        scheduler = Scheduler(server.store)
        stack.callback(scheduler.stop)
        scheduler.start()
        log_file = stack.enter_context((directory / "agents.log").open("w"))
        configure_log("console", stream=log_file)
        edges = Edges(_common(node_name, directory, scenario), "gpunode-demo")
        running = _start_agents(stack, edges, directory)
        yield Stage(
            directory=directory,
            node_name=node_name,
            server=server,
            kubelet=kubelet,
            node_agent=node_agent,
            running=running,
            edges=edges,
        )


def _start_kubelet(
    stack: contextlib.ExitStack, directory: Path, server: ApiServer, node_name: str
) -> tuple[Kubelet, NodeAgent]:
    kubelet = Kubelet(directory / "device-plugins")
    agent = NodeAgent(StoreNodeApi(server.api, node_name), kubelet, node_name)
    stack.callback(kubelet.stop)
    kubelet.start()
    stack.callback(agent.stop)
    agent.start()
    return kubelet, agent


def _start_agents(stack: contextlib.ExitStack, edges: Edges, directory: Path) -> Running:
    try:
        strategy = choose_mig_strategy(edges.inventory.look())
    except NvmlError:
        strategy = "none"
    nfd = NfdSettings(
        label_sources=frozenset(source.name for source in ALL),
        source_settings=SourceSettings(),
        white_list=None,
    )
    plugin = PluginSettings(
        mig_strategy=strategy,
        kubelet_socket=directory / "device-plugins" / "kubelet.sock",
        cdi_folder=directory / "cdi",
    )
    running = Running(all_agents(edges, nfd, GfdSettings(mig_strategy=strategy), plugin))
    stack.callback(running.stop)
    running.start()
    return running


def _common(node_name: str, directory: Path, scenario: str | None) -> CommonSettings:
    return CommonSettings(
        node_name=node_name,
        kubeconfig=str(directory / "kubeconfig"),
        simulate=scenario,
        host_root=Path("/"),
        oneshot=False,
        interval=PASS_SECONDS,
        address="127.0.0.1:0",
        log_format="console",
        log_level="info",
        lock_dir=directory / "lock",
    )
