"""The operations of a scenario: kubectl, and actions outside the API. real.py implements them on a real cluster, simulated.py without."""

import contextlib
import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.timings import Timings

SCENARIO_FOLDER = Path(__file__).parents[2] / "simulation" / "scenarios"
GPU = "nvidia.com/gpu"
MPS_CONTROL = "nvidia-cuda-mps-control"
POLL_S = 0.1
COMMAND_S = 60
REGISTERED = '"event": "resource_registered"'

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The settings of the three agents.

    gpus: the name of a scenario of `--simulate`. faults: lines of its section `faults`. config: the config file of gfd and the plugin.
    configs: selectable configs of the plugin by name, instead of `config`. mps: the folder of MPS on the host. flags: of gfd and the
    plugin. nfd_flags, plugin_flags, mig_flags, validator_flags: of one agent. validates: run
    gpu-validator also. exports_metrics: run gpu-exporter also. publishes_topology: run
    nfd-lite-topology also, without requests of CPUs by the agents, so that pods can have all CPUs that are not reserved. mig_state: run
    mig-manager also; the name of the file in which the simulated GPUs have their changed layouts. toolkit_flags: run gpu-toolkit also, with
    these flags. gpu_host: a folder in place of /sys of the host, with the GPUs of the driver image; the agents then simulate nothing.
    installs_drivers: run gpu-operator also.
    """

    gpus: str = "h100x8"
    faults: tuple[str, ...] = ()
    config: str = "version: v1\n"
    configs: Mapping[str, str] = field(default_factory=dict)
    mps: str | None = None
    flags: tuple[str, ...] = ()
    nfd_flags: tuple[str, ...] = ()
    plugin_flags: tuple[str, ...] = ()
    exports_metrics: bool = False
    publishes_topology: bool = False
    mig_state: str | None = None
    mig_flags: tuple[str, ...] = ()
    toolkit_flags: tuple[str, ...] | None = None
    validates: bool = False
    validator_flags: tuple[str, ...] = ()
    gpu_host: str | None = None
    installs_drivers: bool = False

    @property
    def scenario(self) -> str:
        """The content of the file for `--simulate`."""
        faults = "".join(f"  - {{{fault}}}\n" for fault in self.faults)
        state = f"mig_state: {self.mig_file}\n" if self.mig_state else ""
        return (SCENARIO_FOLDER / f"{self.gpus}.yaml").read_text() + state + (f"faults:\n{faults}" if faults else "")

    @property
    def mig_file(self) -> Path:
        """All agents of the node mount this folder."""
        return DEFAULT_DIRECTORY / f"simulated-mig-{self.mig_state}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """The environment of a container, and the paths of its devices and mounts."""

    environment: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    mounts: frozenset[str] = frozenset()

    @property
    def gpus(self) -> frozenset[str]:
        """The UUIDs in NVIDIA_VISIBLE_DEVICES."""
        return frozenset(self.environment["NVIDIA_VISIBLE_DEVICES"].split(","))


class Runtime(ABC):
    """The container runtime of the node. Only `restart`, and the command `restart_command`, restart it."""

    config: Path
    restart_command: str
    restarts: int

    @abstractmethod
    def restart(self) -> None: ...

    @abstractmethod
    def serving(self, *, breaks: bool = False) -> contextlib.AbstractContextManager[None]:
        """Within the block, `restart_command` restarts the runtime. breaks: it does not start with a drop-in file of gpu-toolkit."""

    @abstractmethod
    def pid(self, container: str) -> int:
        """The pid of the first process of a container, on this machine. container: its id in the status of the Pod."""


class World(ABC):
    """A cluster with one Node that has a kubelet.

    repeats: of each measurement. timeout_s: of `until`. pod_start_s: within this time after the start of the agents, pods with GPUs run.
    reports_devices: the kubelet serves the pod-resources API, and writes the health of devices to the status of Pods.
    """

    node: str
    repeats: int
    timeout_s: float
    pod_start_s: int
    reports_devices: bool

    def __init__(self, timings: Timings) -> None:
        self._timings = timings

    @abstractmethod
    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Runs the real kubectl and returns its output. check: raise ClusterError if kubectl fails; otherwise return also its errors."""

    @property
    @abstractmethod
    def kubeconfig(self) -> Path:
        """A kubeconfig file with all rights, for programs on this machine."""

    def gpunode(self, *args: str, stdin: str | None = None) -> Any:
        """Runs a command of gpunode on this machine, with `-o json`, and returns the document. Raises ClusterError for another output."""
        command = (sys.executable, "-m", "gpunode", *args, "-o", "json", "--kubeconfig", str(self.kubeconfig))
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=COMMAND_S)
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise ClusterError(f"{' '.join(args)}: {done.stdout}{done.stderr}") from error

    @abstractmethod
    def agents(self, setup: Setup) -> None:
        """Starts the three agents with these settings and waits until they are ready. Agents with equal settings are not restarted."""

    @abstractmethod
    def kill(self, what: str) -> None:
        """Sends SIGKILL. kubelet and kube-apiserver remain stopped; an agent or an MPS daemon is restarted."""

    @abstractmethod
    def start(self, component: str) -> None:
        """Starts kubelet or kube-apiserver after `kill`."""

    @abstractmethod
    def replace_agents(self) -> None:
        """Ends all agents with SIGTERM and starts new ones, as an update does."""

    @abstractmethod
    def log(self, agent: str) -> str:
        """The log of the running agent."""

    @abstractmethod
    def container(self, pod: str) -> ContainerView:
        """The view from the only container of a running Pod."""

    @abstractmethod
    def add_node(self, name: str, capacity: Mapping[str, str]) -> None:
        """Adds a Node without a kubelet. Pods on this Node remain Pending."""

    @abstractmethod
    def set_topology_policy(self, policy: str, *, exclusive_cpus: bool = False) -> None:
        """Restarts the kubelet with this topology manager policy. The machine has two NUMA nodes, unless the policy is `none`.

        exclusive_cpus: with the CPU manager policy `static`, and CPU 0 reserved.
        """

    @abstractmethod
    def metrics_address(self) -> str:
        """The address of the metrics of GPUs, `host:port`. The setup must have `exports_metrics`."""

    def fake_driver(self) -> str:
        """Returns the root of a fake driver for eight GPUs on the host. Needs a cluster that starts containers."""
        raise NotImplementedError

    def runtime(self) -> Runtime:
        """Returns the container runtime of the node. Needs a cluster that starts containers."""
        raise NotImplementedError

    def start_agents(self, setup: Setup) -> None:
        """As `agents`, but does not wait: agents without a driver are not ready. Needs a cluster that starts containers."""
        raise NotImplementedError

    def remove_agents(self) -> None:
        """Removes all agents and their labels, so that the node is bare. Needs a cluster that starts containers."""
        raise NotImplementedError

    def driver_host(self) -> str:
        """Imports the driver image, and returns the folder for `Setup.gpu_host`. Needs a cluster that starts containers."""
        raise NotImplementedError

    def mps_root(self) -> str:
        """Returns an empty MPS folder on the host. Needs a cluster that starts containers."""
        raise NotImplementedError

    def clean(self) -> None:
        """Removes all Pods and added Nodes after a scenario. Without a kubelet, only a forced deletion removes a Pod."""
        nodes = {name.removeprefix("node/") for name in self.kubectl("get", "nodes", "-o", "name").split()}
        for other in nodes - {self.node}:
            self.kubectl("delete", "pods", f"--field-selector=spec.nodeName={other}", "--force", "--grace-period=0")
            self.kubectl("delete", "node", other)
        self.kubectl("delete", "pods", "--all", "--timeout=60s")

    def until(self, what: str, read: Callable[[], Any]) -> Any:
        """Waits for the first result that is not empty, and returns the result. kubectl may fail meanwhile."""
        deadline, result, error = time.monotonic() + self.timeout_s, None, ""
        while not result:
            assert time.monotonic() < deadline, (
                f"timeout after {self.timeout_s:.0f} s, waiting for {what}. {error}\n{self.diagnose()}"
            )
            try:
                result = read()
            except ClusterError as failure:
                error = str(failure)
            if not result:
                time.sleep(POLL_S)
        return result

    @contextlib.contextmanager
    def until_registered_again(self) -> Iterator[None]:
        """Waits at the end of the block until the plugin has registered again.

        Before that, the status of the Node is outdated and the kubelet rejects pods.
        """
        before = self._registrations()
        yield
        self.until("a new registration of the plugin", lambda: self._registrations() - before)

    def _registrations(self) -> set[str]:
        """The log lines, which contain the time."""
        return {line for line in self.log("gpu-device-plugin").splitlines() if REGISTERED in line}

    @contextlib.contextmanager
    def measured(self, what: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._timings.add(what, time.monotonic() - start)

    @abstractmethod
    def diagnose(self) -> str:
        """Information for the reader of a timeout."""

    def get(self, kind: str, name: str, *args: str) -> Obj:
        result: Obj = json.loads(self.kubectl("get", kind, name, *args, "-o", "json"))
        return result

    def apply(self, *objects: Obj) -> None:
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.get("node", self.node)["metadata"]["labels"]
        return labels

    @property
    def allocatable(self) -> dict[str, str]:
        """The allocatable extended resources with amounts other than 0."""
        amounts: dict[str, str] = self.get("node", self.node)["status"]["allocatable"]
        return {name: amount for name, amount in amounts.items() if "/" in name and amount != "0"}

    def until_allocatable(self, amounts: Mapping[str, str]) -> None:
        """Waits until exactly these extended resources are allocatable."""
        self.until(f"allocatable {amounts}", lambda: self.allocatable == amounts)

    def until_running(self, *names: str) -> None:
        def running() -> bool:
            return all(self.phase(name) == "Running" for name in names)

        self.until(f"running pods {', '.join(names)}", running)

    def phase(self, pod: str) -> str:
        phase: str = self.get("pod", pod)["status"].get("phase", "")
        return phase

    def bound_to(self, pod: str) -> str | None:
        node: str | None = self.get("pod", pod)["spec"].get("nodeName")
        return node
