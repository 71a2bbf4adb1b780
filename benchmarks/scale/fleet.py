"""Many nodes in one process: the informers, control loops, reconcilers and writers of nfd-lite and gfd, on simulated hosts.

Each node has its own connections and threads, see worker.py. All nodes of a process share one scan of this machine, and those with the same
GPUs one discovery, so that the agents leave the CPU to the API server. Sockets of the kubelet, hardware events and file watches do not run:
they send no request to the API server.
"""

import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from gfd.agent import build_agent as build_gfd
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies
from gpu_core.nvml.source import InventorySource
from nfd_lite import collector
from nfd_lite.agent import build_agent as build_nfd
from nfd_lite.cpu.cpuid import read_cpu
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import Collection, Host, collect
from node_core.host.root import HostRoot
from node_core.kube import cluster, informer
from node_core.runtime.label_controller import LabelLoop
from node_core.runtime.messages import Resync, Stop
from node_core.runtime.metrics import Metrics
from node_core.runtime.process import BackgroundService
from node_core.runtime.schedule import next_delay
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings
from simulation.node import SimulatedNode, load_simulated_node

SCENARIOS = ("h100x8", "a100x8", "l40sx4", "t4x1")
STACK_BYTES = 256 * 1024
JOIN_SECONDS = 10.0
POLL_SECONDS = 0.2
TIMEOUT = (60.0, 120.0)
"""As ApiClient.timeout. Thousands of agents on one CPU need longer than one agent until they read a response."""
KEY = "feature.node.kubernetes.io/scale"
"""The label whose changes are timed."""
PUBLISHED = ("nfd-lite/published", "gfd/published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """url: of the API server. account: the folder of the service account."""

    url: str
    account: Path


@cache
def simulated(name: str) -> tuple[SimulatedNode, InventorySource]:
    node = load_simulated_node(name)
    source = node.inventory_source()
    inventory = source.discover()
    source.discover = lambda: inventory  # type: ignore[method-assign]
    return node, source


@cache
def shared_scan() -> Collection:
    return collect(Host(root=HostRoot(Path("/")), cpu=read_cpu), NfdSettings().source_settings)


class AgentsOfNode:
    """nfd-lite and gfd of one Node, as in `gpunode run`: one watch of the Node, and the watches of rules."""

    def __init__(self, name: str, scenario: str, metrics: Metrics) -> None:
        common = CommonSettings(
            node_name=name, kubeconfig=None, simulate="", host_root=Path("/"), oneshot=False, interval=None, address="",
            log_format="json", log_level="error", lock_dir=None,
        )  # fmt: skip
        self.name = name
        self.services = Services(metrics=metrics)
        self._dependencies = dependencies = Dependencies(common, "gpunode")
        dependencies.node.api.__dict__["_timeout"] = TIMEOUT
        dependencies.simulated, source = simulated(scenario)
        dependencies.__dict__["inventory"] = source  # replaces the cached property
        self.loops: tuple[LabelLoop, ...] = (
            build_nfd(NfdSettings(), dependencies, self.services),
            build_gfd(GfdSettings(), dependencies, self.services),
        )
        for loop in self.loops:
            dependencies.node.subscribe(loop.mailbox)
        self.changed_at = 0.0
        dependencies.node.on_label_change(KEY, self._record_change)
        self._informers: tuple[BackgroundService, ...] = (dependencies.node, *dependencies.collections)
        self._threads = [threading.Thread(target=loop.run, daemon=True) for loop in self.loops]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        for each in self._informers:
            each.start()

    def stop(self) -> None:
        for loop in self.loops:
            loop.mailbox.post(Stop())
        for each in self._informers:
            each.stop()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def resync(self) -> None:
        for loop in self.loops:
            loop.mailbox.post(Resync())

    def _record_change(self) -> None:
        self.changed_at = time.monotonic()

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the Node that its watch has reported."""
        return self._dependencies.node.labels or {}

    @property
    def is_published(self) -> bool:
        """Whether both agents have compared, and written if necessary."""
        problems = self.services.readiness.problems()
        return all(each in problems and problems[each] is None for each in PUBLISHED)


class Fleet:
    """The nodes of one process. Its methods are called by name from another process, see workers.py."""

    def __init__(self, place: Place, names: Sequence[str]) -> None:
        address = urlsplit(place.url)
        os.environ |= {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
        cluster.SERVICE_ACCOUNT = place.account
        collector.__dict__["collect"] = lambda *_, **__: shared_scan()  # replaces the scan of a pass
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        threading.stack_size(STACK_BYTES)
        self._metrics = Metrics()
        self._nodes = {name: self._build(number, name) for number, name in enumerate(names)}
        self._schedule: threading.Thread | None = None

    def _build(self, number: int, name: str) -> AgentsOfNode:
        return AgentsOfNode(name, SCENARIOS[number % len(SCENARIOS)], self._metrics)

    def start(self, seconds: float) -> None:
        """Starts all agents within this time, as the kubelets of a new DaemonSet do."""
        for node in self._nodes.values():
            node.start()
            time.sleep(seconds / len(self._nodes))

    def restart(self, parallel: int) -> None:
        """Replaces the agents of all nodes, some nodes at a time."""

        def replace(number: int, name: str) -> None:
            self._nodes[name].stop()
            self._nodes[name] = node = self._build(number, name)
            node.start()
            while not node.is_published:
                time.sleep(POLL_SECONDS)

        with ThreadPoolExecutor(parallel) as executor:
            list(executor.map(lambda each: replace(*each), enumerate(list(self._nodes))))

    def shorten_watches(self, seconds: int, spread: int) -> None:
        """Changes the duration of the watches that open from now on."""
        informer.WATCH_SECONDS, informer.WATCH_SPREAD_SECONDS = seconds, spread

    def is_published(self) -> bool:
        return all(node.is_published for node in self._nodes.values())

    def is_labelled(self, value: str | None) -> bool:
        """Whether the watch of each node reports this value of the label KEY. value: None for no label."""
        return all(node.labels.get(KEY) == value for node in self._nodes.values())

    def delays(self, since: float) -> list[float]:
        """Returns for each node the seconds from a time of the monotonic clock until its watch reported the last change of KEY."""
        return [node.changed_at - since for node in self._nodes.values()]

    def rest(self, seconds: float, passes: int) -> None:
        """Lets each agent make a number of passes in this time, with the jitter of the schedule."""
        interval, end = seconds / passes, time.monotonic() + seconds
        due = {name: time.monotonic() + interval * random.random() for name in self._nodes}
        while (now := time.monotonic()) < end:
            for name, at in due.items():
                if at <= now:
                    self._nodes[name].resync()
                    due[name] = now + next_delay(interval, random.random())
            time.sleep(0.05)

    def stop(self) -> None:
        with ThreadPoolExecutor(50) as executor:
            list(executor.map(AgentsOfNode.stop, self._nodes.values()))

    def handle(self, method: str, arguments: Sequence[Any]) -> Any:
        return getattr(self, method)(*arguments)
