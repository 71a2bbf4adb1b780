"""Where an agent's concrete edges are chosen, once for all three: real or simulated GPUs, the cluster, the host."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from node_core.domain.features import Features
from node_core.domain.inventory import Inventory
from node_core.domain.node_feature import GFD_PREFIX
from node_core.domain.outputs import NodeOutputs
from node_core.errors import SettingsError
from node_core.host.discovery.platform import may_have_gpus
from node_core.host.discovery.strategy import Strategy, read_gpus
from node_core.host.nvml.api import OpenNvml
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.real import open_nvml
from node_core.host.nvml.source import InventorySource
from node_core.host.root import HostRoot
from node_core.host.uevents import HardwareEvents
from node_core.publish.api import Publisher
from node_core.publish.lines import FilePublisher, NoPublisher, StreamPublisher
from node_core.publish.node import NodePublisher
from node_core.runtime.collection_link import CollectionLink, config_map_link
from node_core.runtime.config_map import ConfigMapName, ConfigMapSource
from node_core.runtime.feature_link import FeatureLink
from node_core.runtime.instance import InstanceLock
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.messages import Pass
from node_core.runtime.named_config import ConfigFolder, ConfigSource
from node_core.runtime.node_link import NodeLink
from node_core.runtime.process import Agent, Built, Part, Program
from node_core.runtime.release import Releases
from node_core.runtime.schedule import Passes
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from node_core.version import VERSION

if TYPE_CHECKING:
    from node_core.simulate.scenario import Scenario

Destination = Literal["node", "node-feature", "stdout", "file", "nothing"]
CLUSTER = ("node", "node-feature")
"""Destinations for which the agent follows our Node."""


class Edges:
    """Made from the common settings; each edge comes to life when first asked for. Agents in one process share them.

    Nodes with GPUs of their own do not import the simulation. driver_root: the driver's root as we see it; libnvidia-ml is looked for below
    it, then where the loader looks. discovery: how GPUs are found; simulated ones answer as NVML does. feature_links, collections, parts:
    what the agents want to have run beside them. asks_nvml: set by agents that do, so that it is given up on request.
    """

    def __init__(
        self,
        common: CommonSettings,
        program: str,
        driver_root: Path = Path("/driver-root"),
        discovery: Strategy = "auto",
    ) -> None:
        self.common = common
        self._program = program
        self._driver_root = driver_root
        self._discovery = discovery
        if not common.host_root.is_dir():
            raise SettingsError([f"--host-root: {common.host_root} is not a directory"])
        if common.simulate and discovery not in ("auto", "nvml"):
            raise SettingsError(
                [f"--device-discovery-strategy: {discovery} finds no simulated GPUs: take it or --simulate out"]
            )
        self.root = HostRoot(common.host_root)
        self.feature_links: list[FeatureLink] = []
        self.collections: list[CollectionLink] = []
        self.parts: list[Part] = []
        self.asks_nvml = False
        self._config_maps: dict[ConfigMapName, CollectionLink] = {}
        self.scenario = _load_scenario(common.simulate) if common.simulate else None

    @cached_property
    def node(self) -> NodeLink:
        return NodeLink(
            self.common.node_name, kubeconfig=self.common.kubeconfig, user_agent=f"{self._program}/{VERSION}"
        )

    @cached_property
    def nvml(self) -> OpenNvml:
        """The driver's NVML, or that of the scenario, whose time begins now."""
        if self.scenario is None:
            return lambda: open_nvml(driver_root=str(self._driver_root))
        from node_core.simulate.nvml import simulated_nvml  # noqa: PLC0415

        start = time.monotonic()
        return simulated_nvml(self.scenario, lambda: time.monotonic() - start)

    @cached_property
    def inventory(self) -> InventorySource:
        source = self._source()
        self.releases.add(source)
        return source

    @cached_property
    def releases(self) -> Releases:
        """Whether NVML may be open at all just now."""
        return Releases(self.common.lock_dir, self._program)

    def config_map(self, name: ConfigMapName, services: Services) -> CollectionLink:
        """What follows it, for all agents of the process."""
        if name not in self._config_maps:
            link = config_map_link(self.node, name.namespace, name.name, agent=self._program, services=services)
            self._config_maps[name] = link
            self.collections.append(link)
        return self._config_maps[name]

    def extra_pci(self) -> tuple[Mapping[str, str], ...]:
        """The simulated PCI functions that go with simulated GPUs, in NFD's form of pci.device."""
        if self.scenario is None:
            return ()
        from node_core.simulate.scenario import pci_attributes  # noqa: PLC0415

        return pci_attributes(self.scenario)

    def gpus_off_pci(self) -> bool:
        """Whether there are simulated GPUs that are on no PCI bus, with a driver."""
        scenario = self.scenario
        return scenario is not None and scenario.driver is not None and len(scenario.on_pci) < len(scenario.gpus)

    @property
    def dev(self) -> Path:
        """Where we see the host's /dev: below the driver's root where that is mounted, else below the host's."""
        mounted = self._driver_root / "dev"
        return mounted if mounted.is_dir() else self.root.path("/dev")

    def lock(self, agent: str) -> InstanceLock | None:
        """One process of a kind per Node; a run that ends at once does not take the lock."""
        directory = None if self.common.oneshot else self.common.lock_dir
        return None if directory is None else InstanceLock(directory, agent, self.common.node_name)

    def _source(self) -> InventorySource:
        scenario = self.scenario
        if scenario is None:
            return InventorySource(self._look, gpus_on_pci=lambda: may_have_gpus(self.root))
        from node_core.simulate.nvml import numa_of  # noqa: PLC0415

        numa_node = numa_of(scenario)
        return InventorySource(
            lambda: read_inventory(self.nvml, numa_node, wsl=scenario.wsl, simulated=True),
            gpus_on_pci=lambda: bool(scenario.gpus),
        )

    def _look(self) -> Inventory:
        return read_gpus(self._discovery, self.root, self._driver_root)


def _load_scenario(name_or_path: str) -> "Scenario":
    from node_core.simulate.scenario import load_scenario  # noqa: PLC0415

    return load_scenario(name_or_path)


def open_configs(
    edges: Edges, place: Path | ConfigMapName, services: Services, changed: Callable[[], None]
) -> ConfigSource:
    """The configs that a label chooses from. changed: called in any thread when there may be others.

    What watches them is left with the edges.
    """
    if isinstance(place, Path):
        folder = ConfigFolder(place, changed)
        edges.parts.append(folder)
        return folder
    link = edges.config_map(place, services)
    link.follow(changed)
    return ConfigMapSource(place, link)


def choose_publisher(
    edges: Edges,
    destination: Destination,
    output_file: Path,
    manager: str,
    *,
    namespace: str | None = None,
    prefix: str = GFD_PREFIX,
    features: Callable[[], Features] = Features,
    outputs: Callable[[], NodeOutputs | None] = NodeOutputs,
) -> Publisher:
    """The publisher that --publish names.

    namespace, prefix, features: of a NodeFeature object; its namespace None for the pod's own, its name the prefix and the Node's name.
    outputs: what is wanted on the Node beside labels, of which annotations go out with them.
    """
    match destination:
        case "node-feature":
            link = FeatureLink(edges.node, manager, namespace=namespace, prefix=prefix, features=features)
            edges.feature_links.append(link)
            return link.publisher
        case "node":
            return NodePublisher(edges.node.api, manager, outputs=outputs)
        case "file":
            return FilePublisher(output_file)
        case "stdout":
            return StreamPublisher()
        case "nothing":
            return NoPublisher()


def label_program(edges: Edges, destination: Destination, build: Callable[[Services], LabelAgent]) -> Program:
    """A process of one labelling agent."""

    def once(services: Services) -> bool:
        agent = build(services)
        for link in edges.collections:
            link.look()
        return agent.run_once()

    if destination in CLUSTER:
        return replace(node_program(edges, lambda services: (build(services),)), once=once)

    def built(services: Services) -> Built:
        agent = build(services)
        return Built(agents=(agent,), parts=(*edges.parts, *_prompts(edges, (agent,), services)))

    return Program(common=edges.common, build=built, once=once)


def node_program(edges: Edges, build: Callable[[Services], Sequence[Agent]]) -> Program:
    """A process of agents that all follow our own Node. Raises SettingsError when it has no name."""
    if not edges.common.node_name:
        raise SettingsError(["--node-name: is missing: name this Node, or set NODE_NAME (spec.nodeName in a pod)"])

    def built(services: Services) -> Built:
        agents = build(services)
        for agent in agents:
            edges.node.tell(agent.mailbox)
            for link in edges.feature_links:
                link.tell(agent.mailbox)
        links: tuple[Part, ...] = (edges.node, *edges.feature_links, *edges.collections)
        return Built(agents=agents, parts=(*links, *edges.parts, *_prompts(edges, agents, services)))

    return Program(common=edges.common, build=built)


def _prompts(edges: Edges, agents: Sequence[Agent], services: Services) -> tuple[Part, ...]:
    """What makes agents look again: hardware events, GPUs that were free on request, and passes as the safety net."""

    def look() -> None:
        edges.inventory.forget()
        for agent in agents:
            agent.mailbox.post(Pass())

    prompts = (HardwareEvents(look), Passes(edges.common.interval, look))
    if not edges.asks_nvml:
        return prompts
    edges.releases.begin(services.metrics, look)
    return (edges.releases, *prompts)
