"""Chooses the concrete dependencies of all three agents: real or simulated GPUs, the cluster, the host."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from gpu_core.cdi.roots import Roots, discover_roots
from gpu_core.discovery.strategy import Strategy, read_gpus
from gpu_core.host.platform import may_have_gpus
from gpu_core.nvml.api import OpenNvml
from gpu_core.nvml.driver_version import find_module_version
from gpu_core.nvml.real import open_nvml
from gpu_core.nvml.source import InventorySource
from gpu_core.release import NvmlReleaseController
from gpu_core.settings.nvidia_settings import DRIVER_MOUNT, GpuSettings, driver_mount
from node_core.domain.desired import CollectorResult, Desired
from node_core.domain.labels import SIMULATED
from node_core.domain.node_feature import GFD_PREFIX, VERSION_ANNOTATION, WORKER_PREFIX
from node_core.domain.reconcile import FieldOwner
from node_core.errors import SettingsError
from node_core.host.root import HostRoot
from node_core.host.uevents import HardwareEvents
from node_core.kube.events import EventApi
from node_core.publish.lines import FileWriter, NoWriter, StreamWriter
from node_core.publish.node import NodeWriter
from node_core.publish.node_feature import NodeFeatureWriter
from node_core.publish.writer import Writer
from node_core.runtime.config_map import ConfigMapName, ConfigMapSource
from node_core.runtime.config_selector import ConfigSelector, NamedConfigs, ReadSettings
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.informers import CollectionInformer, NodeFeatureInformer, NodeInformer, config_map_informer
from node_core.runtime.instance_lock import InstanceLock
from node_core.runtime.label_controller import LabelLoop
from node_core.runtime.messages import Resync
from node_core.runtime.named_config import ConfigFolder, ConfigSource, NamedConfigOptions
from node_core.runtime.process import STOP_SECONDS, Agent, BackgroundService, ProcessSpec, Program
from node_core.runtime.schedule import PeriodicTrigger
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings, common_settings
from node_core.values import replace
from node_core.version import VERSION

if TYPE_CHECKING:
    from simulation.node import SimulatedNode

Destination = Literal["node", "node-feature", "stdout", "file", "nothing"]
NO_NODE_NAME = "--node-name: is missing. Set the name of this Node, or NODE_NAME (spec.nodeName in a pod)."
CLUSTER = ("node", "node-feature")
"""Destinations that need an informer of the agent's Node."""


class Dependencies:
    """The dependencies that all agents of a process share. Each one is created at the first use.

    driver_root: where the driver root is mounted. libnvidia-ml is searched there first, then by the dynamic linker. library_dirs: see
    find_libraries. discovery: the
    strategy; simulated GPUs are discovered through a simulated NVML. feature_informers, collections, background_services: run in addition
    to the agents. uses_nvml: set by agents that use NVML, so that NVML is released on request. stop_seconds: see ProcessSpec.
    """

    def __init__(
        self,
        common: CommonSettings,
        program: str,
        driver_root: Path = DRIVER_MOUNT,
        discovery: Strategy = "auto",
        library_dirs: tuple[str, ...] = (),
    ) -> None:
        self.common = common
        self._program = program
        self.driver_root = driver_root
        self._discovery = discovery
        self.library_dirs = library_dirs
        if not common.host_root.is_dir():
            raise SettingsError([f"--host-root: {common.host_root} is not a directory"])
        if common.simulate and discovery not in ("auto", "nvml"):
            raise SettingsError([
                f"--device-discovery-strategy: {discovery} does not support simulated GPUs. Remove this flag or --simulate."
            ])  # fmt: skip
        self.root = HostRoot(common.host_root)
        self.feature_informers: list[NodeFeatureInformer] = []
        self.collections: list[CollectionInformer] = []
        self.background_services: list[BackgroundService] = []
        self.uses_nvml = False
        self.stop_seconds = STOP_SECONDS
        self._event_recorder: EventRecorder | None = None
        self._config_maps: dict[ConfigMapName, CollectionInformer] = {}
        self.simulated: SimulatedNode | None = None
        if common.simulate:
            from simulation.node import load_simulated_node  # noqa: PLC0415 - only with --simulate

            self.simulated = load_simulated_node(common.simulate)

    @cached_property
    def node(self) -> NodeInformer:
        return NodeInformer(
            self.common.node_name, kubeconfig=self.common.kubeconfig, user_agent=f"{self._program}/{VERSION}"
        )

    @cached_property
    def nvml(self) -> OpenNvml:
        """NVML of the driver or of the scenario."""
        if self.simulated is not None:
            return self.simulated.open_nvml
        return lambda: open_nvml(driver_root=str(self.driver_root), library_dirs=self.library_dirs)

    @cached_property
    def inventory(self) -> InventorySource:
        if self.simulated is not None:
            source = self.simulated.inventory_source()
        else:
            source = InventorySource(
                lambda: read_gpus(self._discovery, self.root, self.driver_root, self.library_dirs),
                has_gpus=lambda: may_have_gpus(self.root),
            )
        self.nvml_release.add(source)
        return source

    @cached_property
    def nvml_release(self) -> NvmlReleaseController:
        return NvmlReleaseController(self.common.lock_dir, self._program)

    def config_map(self, name: ConfigMapName, services: Services) -> CollectionInformer:
        """The informer of a ConfigMap, shared by the agents of the process."""
        if name not in self._config_maps:
            informer = config_map_informer(self.node, name.namespace, name.name, agent=self._program, services=services)
            self._config_maps[name] = informer
            self.collections.append(informer)
        return self._config_maps[name]

    def event_recorder(self, services: Services) -> EventRecorder:
        """The event recorder, shared by the agents of the process."""
        if self._event_recorder is None:
            self._event_recorder = EventRecorder(lambda: EventApi(self.node.api), services)
            self.background_services.append(self._event_recorder)
        return self._event_recorder

    def flush_events(self) -> None:
        """Sends the recorded Events, in a process that runs once."""
        if self._event_recorder is not None:
            self._event_recorder.step()

    @property
    def loaded_driver(self) -> str | None:
        """The version of the loaded driver."""
        return find_module_version(self.root)

    def roots(self, driver: str = "/", dev: str | None = None) -> Roots:
        """Discovers where the driver and its device nodes are now. driver, dev: see discover_roots."""
        own = self.driver_root if (self.driver_root / "dev").is_dir() else self.root.base
        return discover_roots(
            driver, dev, self.driver_root, own_root=own, loaded=self.loaded_driver, library_dirs=self.library_dirs
        )

    def lock(self, agent: str) -> InstanceLock | None:
        """The lock that allows one process of an agent per Node; None with --oneshot or without a lock folder."""
        directory = None if self.common.oneshot else self.common.lock_dir
        return None if directory is None else InstanceLock(directory, agent, self.common.node_name)


def gpu_dependencies(values: Mapping[str, Any], program: str) -> Dependencies:
    """The dependencies of a program that discovers GPUs, from the values of the command line. Raises SettingsError."""
    common = common_settings(values, GpuSettings)
    return Dependencies(common, program, driver_mount(values), common.discovery, common.library_dirs)


def mark_simulation(dependencies: Dependencies, desired: Desired) -> Desired:
    """Adds the label SIMULATED while the GPUs are simulated. Otherwise claims the label, so that a label of an earlier run is removed."""
    labels = {SIMULATED: "true"} if dependencies.simulated else {}
    result = CollectorResult(name="simulation", labels=labels, owns=(SIMULATED,))
    return replace(desired, results=(*desired.results, result))


class HasNamedConfigs(Protocol):
    """Settings that a Node label can select from named configs."""

    @property
    def named(self) -> NamedConfigOptions | None: ...


SettingsType = TypeVar("SettingsType", bound=HasNamedConfigs)


def select_config(
    agent: str,
    settings: SettingsType,
    dependencies: Dependencies,
    services: Services,
    reread: ReadSettings[SettingsType] | None,
    changed: Callable[[], None],
) -> ConfigSelector[SettingsType]:
    """Selects the settings, or the config that a Node label names. Adds the services that watch the configs to the dependencies.

    reread: required with `settings.named`. changed: called in any thread when the configs may have changed.
    """
    named, configs = settings.named, None
    if named is not None and reread is not None:
        source = _open_config_source(dependencies, named.place, services, changed)
        configs = NamedConfigs(source=source, options=named, read=reread)
    return ConfigSelector(settings, configs, agent=agent, services=services)


def _open_config_source(
    dependencies: Dependencies, place: Path | ConfigMapName, services: Services, changed: Callable[[], None]
) -> ConfigSource:
    if isinstance(place, Path):
        folder = ConfigFolder(place, changed)
        dependencies.background_services.append(folder)
        return folder
    informer = dependencies.config_map(place, services)
    informer.on_change(changed)
    return ConfigMapSource(place, informer)


def choose_writer(
    dependencies: Dependencies,
    destination: Destination,
    output_file: Path,
    owner: FieldOwner,
    *,
    namespace: str | None = None,
    prefix: str = GFD_PREFIX,
) -> Writer:
    """The writer for the value of --publish.

    namespace: of the NodeFeature object; None for the pod's namespace. prefix: of its name, followed by the name of the Node.
    """
    match destination:
        case "node-feature":
            informer = NodeFeatureInformer(dependencies.node, owner.manager, namespace=namespace, prefix=prefix)
            dependencies.feature_informers.append(informer)
            annotations = {VERSION_ANNOTATION: VERSION} if prefix == WORKER_PREFIX else None
            return NodeFeatureWriter(informer.features, dependencies.node.api, owner, annotations=annotations)
        case "node":
            return NodeWriter(dependencies.node.api, owner)
        case "file":
            return FileWriter(output_file)
        case "stdout":
            return StreamWriter()
        case "nothing":
            return NoWriter()


def label_program(
    dependencies: Dependencies, destination: Destination, build: Callable[[Services], LabelLoop]
) -> Program:
    """A program with one labelling agent."""

    def once(services: Services) -> bool:
        agent = build(services)
        for informer in dependencies.collections:
            informer.list_once()
        is_published = agent.controller.run_once()
        dependencies.flush_events()
        return is_published

    if destination in CLUSTER and not dependencies.common.node_name:
        raise SettingsError([f"{NO_NODE_NAME} To print the labels without a cluster, set --publish stdout."])
    if destination in CLUSTER:
        return replace(node_program(dependencies, lambda services: (build(services),)), once=once)
    return replace(host_program(dependencies, lambda services: (build(services),)), once=once)


def host_program(dependencies: Dependencies, build: Callable[[Services], Sequence[Agent]]) -> Program:
    """A program with agents that do not observe their Node."""
    return Program(
        common=dependencies.common, build=lambda services: _build_process(dependencies, build(services), services)
    )


def node_program(dependencies: Dependencies, build: Callable[[Services], Sequence[Agent]]) -> Program:
    """A program with agents that observe their Node. Raises SettingsError without a node name."""
    if not dependencies.common.node_name:
        raise SettingsError([NO_NODE_NAME])

    def build_process(services: Services) -> ProcessSpec:
        agents = build(services)
        for agent in agents:
            dependencies.node.subscribe(agent.mailbox)
            for informer in dependencies.feature_informers:
                informer.subscribe(agent.mailbox)
        informers: tuple[BackgroundService, ...] = (
            dependencies.node,
            *dependencies.feature_informers,
            *dependencies.collections,
        )
        return _build_process(dependencies, agents, services, informers)

    return Program(common=dependencies.common, build=build_process)


def _build_process(
    dependencies: Dependencies,
    agents: Sequence[Agent],
    services: Services,
    informers: tuple[BackgroundService, ...] = (),
) -> ProcessSpec:
    """Adds services that start a new discovery: on hardware events, at the end of an NVML release, and periodically."""

    def discover_again() -> None:
        dependencies.inventory.invalidate()
        for agent in agents:
            agent.mailbox.post(Resync())

    background: list[BackgroundService] = [*informers, *dependencies.background_services]
    if dependencies.uses_nvml:
        dependencies.nvml_release.activate(services.metrics, discover_again)
        background.append(dependencies.nvml_release)
    background += (HardwareEvents(discover_again), PeriodicTrigger(dependencies.common.interval, discover_again))
    return ProcessSpec(agents=agents, background_services=tuple(background), stop_seconds=dependencies.stop_seconds)
