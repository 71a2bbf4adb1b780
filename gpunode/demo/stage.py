"""The demo's cluster: simulated API server, scheduler and kubelet on loopback, and the three agents with production code."""

import contextlib
import platform
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from device_plugin.plan.node import plan_devices
from device_plugin.settings import PluginSettings, plan_options
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies
from gpu_core.domain.inventory import Inventory
from gpunode.demo.changes import NodeState, parse_node_state
from gpunode.demo.control import PREFIX
from gpunode.demo.gpu_names import GpuNames
from gpunode.run import all_agents
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import SOURCES, SourceSettings
from node_core.errors import NvmlError, SettingsError
from node_core.kubelet.sockets import MAX_PATH
from node_core.runtime.config_watch import ConfigWatch, fingerprint
from node_core.runtime.log import configure_log
from node_core.runtime.process import ProcessRunner
from node_core.runtime.settings import CommonSettings
from simulation.apiserver import ApiServer
from simulation.apiserver.status import ApiError
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from simulation.kubelet.pod_resources import pod_resources_server
from simulation.scenarios.scenario import parse_fault, scenario_names
from simulation.scheduler.scheduler import Scheduler

LONGEST_SOCKET = "device-plugins/nvidia-mig-1g.10gb.me.all-12345678.sock"
"""No socket in the temporary directory has a longer name."""
INTERVAL_SECONDS = 5.0
"""Interval of the agents. Short, so that the user sees a simulated fault soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """The three agents with the GPUs of one scenario. resources: the names that the plan of the device plugin has for these GPUs."""

    dependencies: Dependencies
    inventory: Inventory
    resources: frozenset[str]
    running: ProcessRunner


class Stage:
    """All components. `stop` stops them in the reverse order. scenario: a name or a file; None for real GPUs.

    Raises SettingsError for an unknown or invalid scenario.
    """

    def __init__(self, directory: Path, scenario: str | None) -> None:
        self.directory = directory
        self.node_name = name_node(platform.node())
        self.scenario = scenario
        self.file_changed = threading.Event()
        self._faults = 0
        dependencies = self._dependencies(scenario)
        self.server = ApiServer()
        self.kubelet = Kubelet(directory / "device-plugins")
        node_api = StoreNodeApi(self.server.api, self.node_name, register=self.server.add_node)
        self.node_agent = NodeAgent(node_api, self.kubelet, self.node_name)
        with contextlib.ExitStack() as stack:
            configure_log("console", stream=stack.enter_context(self.log_file.open("w")))
            stack.enter_context(self.server)
            self.server.add_node(self.node_name)
            self.server.write_kubeconfig(self.kubeconfig)
            pods = pod_resources_server(directory / "pod-resources" / "kubelet.sock", self.node_agent)
            for component in (self.kubelet, self.node_agent, pods, Scheduler(self.server.store)):
                stack.callback(component.stop)
                component.start()
            self._agents = self._start(dependencies)
            self._watch = self._watch_file()
            self._stack = stack.pop_all()

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def log_file(self) -> Path:
        return self.directory / "agents.log"

    @property
    def _locks(self) -> Path:
        return self.directory / "lock"

    @property
    def running(self) -> ProcessRunner:
        return self._agents.running

    @property
    def inventory(self) -> Inventory:
        """The GPUs when the agents started."""
        return self._agents.inventory

    @property
    def resources(self) -> frozenset[str]:
        """The resources that the device plugin will advertise."""
        return self._agents.resources

    def gpu_names(self) -> GpuNames:
        simulated = self._agents.dependencies.simulated
        return GpuNames(self.inventory, None if simulated is None else simulated.scenario)

    def problems(self) -> Iterator[str]:
        """Yields the failed readiness checks of the agents with their reasons."""
        for check, problem in self.running.services.readiness.problems().items():
            if problem:
                yield f"{check}: {problem}"

    def node(self) -> NodeState:
        """The current state of the Node; an empty state if the user deleted the Node or made it malformed."""
        try:
            return parse_node_state(self.server.store.get("nodes", self.node_name))
        except (ApiError, ValueError, KeyError, TypeError, AttributeError):
            return NodeState()

    def stop(self) -> None:
        self._watch.stop()
        self.running.stop()
        self._stack.close()

    def change_scenario(self, scenario: str | None = None) -> str:
        """Starts a scenario now; None to start the current one again. Returns what has changed. Raises SettingsError: nothing has changed.

        The agents continue if only the faults differ. Otherwise they start again, as after a reboot with other GPUs.
        """
        name = scenario or self.scenario
        if name is None:
            raise SettingsError(
                [f"this machine has real GPUs. Use one of the scenarios {', '.join(scenario_names())}."]
            )
        dependencies = self._dependencies(name)
        old, new = self._agents.dependencies.simulated, dependencies.simulated
        if old is not None and new is not None and old.scenario.has_same_hardware(new.scenario):
            old.replace_faults(new.scenario)
            count = len(new.scenario.faults)
            text = f"{name}: the same GPUs, {count} {'fault' if count == 1 else 'faults'} from now on"
        else:
            if old is not None:  # a call that hangs returns, so that its agent can stop
                old.replace_faults(old.scenario.without_faults())
            self.running.stop(is_final=False)
            for path in self._locks.glob("*.health.json"):  # as after a reboot: the incidents of the old GPUs are over
                path.unlink()
            self._agents = self._start(dependencies)
            text = f"{name}: {describe_gpus(self.inventory)}. The agents have started again."
        if name != self.scenario:
            self.scenario = name
            self._watch.stop()
            self._watch = self._watch_file()
        return text

    def add_fault(self, fault: Mapping[str, object]) -> None:
        """Adds a fault as in a scenario file. Its times count from now. Raises SettingsError."""
        simulated = self._agents.dependencies.simulated
        if simulated is None:
            raise SettingsError(
                ["the GPUs of this machine are real, so they cannot have simulated faults. Use a scenario."]
            )
        self._faults += 1
        simulated.add_faults(parse_fault(simulated.scenario, fault, number=1000 * self._faults))

    def _dependencies(self, scenario: str | None) -> Dependencies:
        common = CommonSettings(
            node_name=self.node_name,
            kubeconfig=str(self.kubeconfig),
            simulate=scenario,
            interval=INTERVAL_SECONDS,
            address="127.0.0.1:0",
            log_format="console",
            lock_dir=self._locks,
        )
        return Dependencies(common, "gpunode-demo")

    def _start(self, dependencies: Dependencies) -> Agents:
        inventory = _discover(dependencies)
        strategy = choose_mig_strategy(inventory)
        nfd = NfdSettings(label_sources=frozenset(SOURCES), source_settings=SourceSettings(), white_list=None)
        plugin = PluginSettings(
            mig_strategy=strategy, kubelet_socket=self.kubelet.socket, cdi_folder=self.directory / "cdi"
        )
        running = ProcessRunner(all_agents(dependencies, nfd, GfdSettings(mig_strategy=strategy), plugin))
        running.start()
        resources = frozenset(plan_devices(inventory, plan_options(plugin)).resources)
        return Agents(dependencies=dependencies, inventory=inventory, resources=resources, running=running)

    def _watch_file(self) -> ConfigWatch:
        """Starts to watch the file of the scenario; watches nothing for an included scenario."""
        is_file = self.scenario is not None and self.scenario not in scenario_names()
        path = Path(self.scenario or "")
        watch = ConfigWatch({path: fingerprint(path)} if is_file else {}, self._file_has_changed)
        watch.start()
        return watch

    def _file_has_changed(self) -> None:
        self.file_changed.set()
        self.server.store.wake()


@contextlib.contextmanager
def open_stage(scenario: str | None) -> Iterator[Stage]:
    """scenario: see Stage. When the block ends, all components stop and the temporary directory is removed.

    After an unexpected error, the directory remains, so that the agents' log can be read.
    """
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        _check_length(directory)
        stage = Stage(directory, scenario)
        try:
            yield stage
        finally:
            stage.stop()
    except Exception as error:
        log = directory / "agents.log"
        if isinstance(error, SettingsError) or not log.exists():
            shutil.rmtree(directory, ignore_errors=True)
        else:
            error.add_note(f"The log of the agents is {log}.")
        raise
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)


def _check_length(directory: Path) -> None:
    """Raises SettingsError if the paths of the sockets would be too long."""
    if len(str(directory / LONGEST_SOCKET).encode()) > MAX_PATH:
        raise SettingsError([
            f"the path of the temporary folder {directory.parent} is too long for Unix sockets. Set TMPDIR to a shorter path, such as /tmp."
        ])  # fmt: skip


def describe_gpus(inventory: Inventory) -> str:
    """`8 x NVIDIA H100 80GB HBM3`, and why there are none or why some cannot be read."""
    models = sorted({gpu.model for gpu in inventory.gpus})
    readable = [f"{len(inventory.gpus)} x {', '.join(models)}"] if models else []
    faults = [f"GPU {fault.index} cannot be read: {fault.reason}" for fault in inventory.faults]
    return "; ".join([*readable, *faults]) or inventory.why_empty or "none"


def name_node(host_name: str) -> str:
    """Returns a valid Node name for a host name."""
    return re.sub(r"[^a-z0-9.-]+", "-", host_name.lower()).strip("-.")[:63] or "this-machine"


def choose_mig_strategy(inventory: Inventory) -> Literal["none", "single", "mixed"]:
    """`none` without MIG, `single` if all GPUs have MIG devices of one profile, `mixed` otherwise."""
    enabled = [gpu for gpu in inventory.gpus if gpu.mig_enabled]
    if not enabled:
        return "none"
    profiles = {device.profile for gpu in enabled for device in gpu.mig_devices}
    is_complete = len(enabled) == len(inventory.gpus) and all(gpu.mig_devices for gpu in enabled)
    return "single" if is_complete and len(profiles) == 1 else "mixed"


def has_real_gpus() -> bool:
    """Whether this machine has an NVIDIA driver and at least one GPU."""
    configure_log("console", "error")
    return bool(_discover(Dependencies(CommonSettings(node_name="probe"), "gpunode-demo")).gpus)


def _discover(dependencies: Dependencies) -> Inventory:
    try:
        return dependencies.inventory.discover()
    except NvmlError as error:
        return Inventory(driver=None, why_empty=str(error))
