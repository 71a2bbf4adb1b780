"""What a scenario may do: kubectl, and the few things that kubectl cannot. real.py does them on a real cluster, stand_in.py without one."""

import contextlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.cluster.errors import ClusterError
from tests.e2e.timings import Timings

FLEETS = Path(__file__).parents[2] / "node_core" / "simulate" / "scenarios"
GPU = "nvidia.com/gpu"
MPS_CONTROL = "nvidia-cuda-mps-control"
POLL_S = 0.1
REGISTERED = '"event": "resource_registered"'

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the three agents run. gpus: a fleet that ships. faults: what goes wrong with it, as in its file.

    config: the config file of gfd and the plugin.
    configs: by name, those among which a label of the Node chooses for the plugin, instead of the file. mps: the folder of
    MPS on the host. flags: for gfd and the plugin. nfd_flags, plugin_flags: for one alone.
    """

    gpus: str = "h100x8"
    faults: tuple[str, ...] = ()
    config: str = "version: v1\n"
    configs: Mapping[str, str] = field(default_factory=dict)
    mps: str | None = None
    flags: tuple[str, ...] = ()
    nfd_flags: tuple[str, ...] = ()
    plugin_flags: tuple[str, ...] = ()

    @property
    def fleet(self) -> str:
        """What `--simulate` reads."""
        faults = "".join(f"  - {{{fault}}}\n" for fault in self.faults)
        return (FLEETS / f"{self.gpus}.yaml").read_text() + (f"faults:\n{faults}" if faults else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a container sees. devices and mounts: paths in it."""

    environment: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    mounts: frozenset[str] = frozenset()

    @property
    def gpus(self) -> frozenset[str]:
        """What NVIDIA_VISIBLE_DEVICES names."""
        return frozenset(self.environment["NVIDIA_VISIBLE_DEVICES"].split(","))


class World(ABC):
    """A cluster with one Node that has a kubelet.

    repeats: how often what is measured is done. patience_s: how long anything that has to come true may take. settle_s: so long after
    agents start, pods that want their GPUs run. tells_of_devices: the kubelet says which Pod has which device, and in the Pod's status
    whether it is sound.
    """

    node: str
    repeats: int
    patience_s: float
    settle_s: int
    tells_of_devices: bool

    def __init__(self, timings: Timings) -> None:
        self._timings = timings

    @abstractmethod
    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """What the real kubectl prints. Without check also when it fails, and its errors too."""

    @abstractmethod
    def agents(self, setup: Setup) -> None:
        """The three agents run like this when it returns. Those that do already go on."""

    @abstractmethod
    def kill(self, what: str) -> None:
        """kill -9 of kubelet or kube-apiserver, which stay down; or of an agent or a daemon of MPS, which somebody starts again."""

    @abstractmethod
    def start(self, component: str) -> None:
        """kubelet or kube-apiserver, after `kill`."""

    @abstractmethod
    def replace_agents(self) -> None:
        """All of them end as at an update, and new ones start."""

    @abstractmethod
    def log(self, agent: str) -> str:
        """What the agent that runs now has written."""

    @abstractmethod
    def inside(self, pod: str) -> Inside:
        """Of the only container of a Pod that runs."""

    @abstractmethod
    def add_node(self, name: str, capacity: Mapping[str, str]) -> None:
        """A Node without a kubelet: what is bound to it stays Pending."""

    @abstractmethod
    def set_topology_policy(self, policy: str) -> None:
        """Starts the kubelet anew with that policy of its topology manager, on a machine with NUMA nodes 0 and 1."""

    def fake_driver(self) -> str:
        """The root, on the host, of a driver for eight GPUs: files and scripts alone. Only where containers are started."""
        raise NotImplementedError

    def mps_root(self) -> str:
        """An empty folder of MPS on the host. Only where containers are started."""
        raise NotImplementedError

    def clean(self) -> None:
        """After each scenario: no Pods, no other Nodes. Without a kubelet a Pod goes only by force."""
        nodes = {name.removeprefix("node/") for name in self.kubectl("get", "nodes", "-o", "name").split()}
        for other in nodes - {self.node}:
            self.kubectl("delete", "pods", f"--field-selector=spec.nodeName={other}", "--force", "--grace-period=0")
            self.kubectl("delete", "node", other)
        self.kubectl("delete", "pods", "--all", "--timeout=60s")

    def until(self, what: str, found: Callable[[], Any]) -> Any:
        """The first answer that is not empty. kubectl may fail meanwhile."""
        deadline, answer, error = time.monotonic() + self.patience_s, None, ""
        while not answer:
            assert time.monotonic() < deadline, f"{what}: not within {self.patience_s:.0f} s {error}\n{self.explain()}"
            try:
                answer = found()
            except ClusterError as failure:
                error = str(failure)
            if not answer:
                time.sleep(POLL_S)
        return answer

    @contextlib.contextmanager
    def registered_anew(self) -> Iterator[None]:
        """The plugin has registered again after this block. Until then the Node says what was before, and the kubelet refuses pods."""
        before = self._registrations()
        yield
        self.until("registered again", lambda: self._registrations() - before)

    def _registrations(self) -> set[str]:
        """Lines with their time."""
        return {line for line in self.log("gpu-device-plugin").splitlines() if REGISTERED in line}

    @contextlib.contextmanager
    def measured(self, what: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._timings.add(what, time.monotonic() - start)

    @abstractmethod
    def explain(self) -> str:
        """For who reads that something did not come true."""

    def get(self, kind: str, name: str, *args: str) -> Obj:
        found: Obj = json.loads(self.kubectl("get", kind, name, *args, "-o", "json"))
        return found

    def apply(self, *objects: Obj) -> None:
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.get("node", self.node)["metadata"]["labels"]
        return labels

    @property
    def allocatable(self) -> dict[str, str]:
        """Extended resources of which there are any."""
        amounts: dict[str, str] = self.get("node", self.node)["status"]["allocatable"]
        return {name: amount for name, amount in amounts.items() if "/" in name and amount != "0"}

    def until_allocatable(self, amounts: Mapping[str, str]) -> None:
        """These extended resources, and no other."""
        self.until(f"{amounts} allocatable", lambda: self.allocatable == amounts)

    def until_running(self, *names: str) -> None:
        def running() -> bool:
            return all(self.phase(name) == "Running" for name in names)

        self.until(f"{', '.join(names)} running", running)

    def phase(self, pod: str) -> str:
        phase: str = self.get("pod", pod)["status"].get("phase", "")
        return phase

    def bound_to(self, pod: str) -> str | None:
        node: str | None = self.get("pod", pod)["spec"].get("nodeName")
        return node
