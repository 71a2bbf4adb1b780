"""The simulated cluster of the scenarios: API server, kubelet and scheduler in this process, `gpunode run` as a process, and kubectl."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from simulation.apiserver import ApiServer
from simulation.apiserver.status import ApiError
from simulation.kubelet.cpus import CpuTable
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from simulation.kubelet.pod_resources import pod_resources_server
from simulation.scheduler.scheduler import Scheduler
from tests.e2e.cluster.cluster import KUBECTL
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.numa import write_nodes
from tests.e2e.overlay import AGENTS, INTERVAL_MS
from tests.e2e.prometheus import free_port
from tests.e2e.timings import Timings
from tests.e2e.world import ContainerView, Obj, Setup, World

NUMA_OF_CPUS = {1: 1, 2: 0, 3: 1}
"""CPU -> NUMA node, of the CPUs that are not reserved."""
READY = ('"check": "nfd-lite/published", "event": "ready"', '"check": "gfd/published", "event": "ready"')


class SimulatedWorld(World):
    """folder: for all files. The path must be short, because the path of a unix socket has at most 107 characters."""

    node = "gpunode-e2e"
    repeats = 1
    timeout_s = 20
    pod_start_s = 6
    reports_devices = False

    def __init__(self, folder: Path, timings: Timings) -> None:
        super().__init__(timings)
        self._folder = folder
        self._setup = Setup()
        self._process: subprocess.Popen[bytes] | None = None
        self._topology: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._server = ApiServer()
        self._kubelet = Kubelet(folder / "dp", root=folder / "kubelet")
        self._host = folder / "host"
        self._node_agent = NodeAgent(StoreNodeApi(self._server.api, self.node), self._kubelet, self.node)
        self._pod_resources = pod_resources_server(folder / "pr" / "kubelet.sock", self._node_agent)
        self._metrics_address = ""
        self._stack = ExitStack()

    def open(self) -> None:
        self._stack.enter_context(self._server)
        self._server.add_node(self.node)
        self._server.write_kubeconfig(self.kubeconfig)
        (self._folder / "kubelet").mkdir()
        (self._folder / "meminfo").write_text("Node 0 MemTotal: 16777216 kB\n")
        write_nodes(
            self._host / "sys/devices/system/node",
            cpus=[f"cpu{number}" for number in range(4)],
            memory=self._folder / "meminfo",
        )
        scheduler = Scheduler(self._server.store)
        for component in (scheduler, self._kubelet, self._node_agent, self._pod_resources):
            self._stack.callback(component.stop)
            component.start()
        self._stack.callback(self._end_agents, signal.SIGKILL)

    def close(self) -> None:
        self._stack.close()

    @property
    def kubeconfig(self) -> Path:
        return self._folder / "kubeconfig"

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        files = (f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self._folder / 'cache'}")
        return run(str(KUBECTL), *files, *args, stdin=stdin, check=check)

    def get(self, kind: str, name: str, *args: str) -> Obj:
        """Reads the store, because a kubectl process for each poll of `until` would be slow."""
        try:
            plural = kind if "." in kind else f"{kind}s"
            return self._server.store.get(plural, name, "default" if kind == "pod" else "")
        except ApiError as error:
            raise ClusterError(str(error)) from error

    def agents(self, setup: Setup) -> None:
        if self._process is None or setup != self._setup:
            self._end_agents(signal.SIGTERM)
            self._setup = setup
            self._start_agents()

    def kill(self, what: str) -> None:
        if what in AGENTS:  # all agents are one process
            self._end_agents(signal.SIGKILL)
            self._start_agents()
        elif what == "kubelet":
            self._node_agent.stop()
            self._kubelet.stop()
        else:
            self._server.stop()
            self._server.store.compact()  # a restarted API server has an empty watch cache

    def start(self, component: str) -> None:
        if component == "kubelet":
            self._register()
            self._kubelet.start()
            self._node_agent.start()
        else:
            self._server.start()

    def _register(self) -> None:
        """Creates the Node if it is missing, as a kubelet does at its start."""
        with contextlib.suppress(ApiError):
            self._server.store.delete("leases.coordination.k8s.io", self.node, namespace="kube-node-lease")
        with contextlib.suppress(ApiError):
            self._server.add_node(self.node)

    def replace_agents(self) -> None:
        self._end_agents(signal.SIGTERM)
        self._start_agents()

    def log(self, agent: str) -> str:
        return self._log.read_text()

    def container(self, pod: str) -> ContainerView:
        grant = self._node_agent.grants[self.get("pod", pod)["metadata"]["uid"]]["main"]
        return ContainerView(
            environment=grant.env,
            devices=frozenset(device.container_path for device in grant.devices),
            mounts=frozenset(mount.container_path for mount in grant.mounts),
        )

    def add_node(self, name: str, capacity: Mapping[str, str]) -> None:
        self._server.add_node(name)
        status = {"status": {field: dict(capacity) for field in ("capacity", "allocatable")}}
        self.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "--patch", json.dumps(status))

    def set_topology_policy(self, policy: str, *, exclusive_cpus: bool = False) -> None:
        self.kill("kubelet")
        self._kubelet.topology_policy = policy
        self._kubelet.cpus = CpuTable(dict(NUMA_OF_CPUS) if exclusive_cpus else {})
        (self._folder / "kubelet" / "config.yaml").write_text(f"topologyManagerPolicy: {policy}\n")
        self.start("kubelet")

    def metrics_address(self) -> str:
        return self._metrics_address

    def diagnose(self) -> str:
        return "\n".join([self.kubectl("get", "pods", "-A", check=False), self._log.read_text()[-3000:]])

    @property
    def _log(self) -> Path:
        return self._folder / f"{self._started}.log"

    def _start_agents(self) -> None:
        self._started += 1
        config = self._write_config()
        self._metrics_address = f"127.0.0.1:{free_port()}" if self._setup.exports_metrics else ""
        flags = {
            "--node-name": self.node,
            "--kubeconfig": str(self.kubeconfig),
            "--kubelet-socket": str(self._kubelet.socket),
            "--lock-dir": str(self._folder / "lock"),
            "--http-address": "",
            "--address": self._metrics_address,
            "--collect-interval": str(INTERVAL_MS),
            "--pod-resources-kubelet-socket": str(self._folder / "pr" / "kubelet.sock"),
            "--log-format": "json",
            "--simulate": str(self._write(f"scenario-{self._started}.yaml", self._setup.scenario)),
            "--config-dir" if self._setup.configs else "--config-file": str(config),
        }
        more = (*self._setup.flags, *self._setup.nfd_flags, *self._setup.plugin_flags)
        words = (*(word for pair in flags.items() for word in pair), *more)
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_", "GFD_"))}
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "gpunode", "run", *words]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=keep)
        self.until("ready agents", lambda: all(line in self._log.read_text() for line in READY))
        if self._setup.publishes_topology:
            self._start_topology(keep)

    def _start_topology(self, environment: Mapping[str, str]) -> None:
        flags = {
            "--node-name": self.node,
            "--kubeconfig": str(self.kubeconfig),
            "--host-root": str(self._host),
            "--podresources-socket": str(self._folder / "pr" / "kubelet.sock"),
            "--kubelet-state-dir": str(self._folder / "kubelet"),
            "--lock-dir": str(self._folder / "lock"),
            "--http-address": "",
        }
        words = (word for pair in flags.items() for word in pair)
        log = self._folder / f"topology-{self._started}.log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "nfd_lite.topology", *words]
            self._topology = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        self.until("a published topology", lambda: '"event": "topology_published"' in log.read_text())

    def _write_config(self) -> Path:
        """Writes the config file or the folder of configs, and returns its path."""
        path = self._folder / f"config-{self._started}"
        if self._setup.configs:
            path.mkdir()
            for name, text in self._setup.configs.items():
                (path / name).write_text(text)
        else:
            self._write(path.name, self._setup.config)
        return path

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        return path

    def _end_agents(self, number: signal.Signals) -> None:
        for process in (self._process, self._topology):
            if process is not None:
                process.send_signal(number)
                process.wait(timeout=20)
        self._process = self._topology = None
