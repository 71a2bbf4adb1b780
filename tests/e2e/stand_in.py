"""The scenarios' world of stand-ins: API server, kubelet and scheduler in this process, `gpunode run` beside it, the real kubectl."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.status import ApiError
from node_core.simulate.kubelet import Kubelet
from node_core.simulate.node_agent import NodeAgent
from node_core.simulate.node_api import StoreNodeApi
from node_core.simulate.scheduler import Scheduler
from tests.e2e.cluster.cluster import KUBECTL
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.overlay import AGENTS
from tests.e2e.timings import Timings
from tests.e2e.world import Inside, Obj, Setup, World

READY = ('"check": "nfd-lite/published", "event": "ready"', '"check": "gfd/published", "event": "ready"')


class StandInWorld(World):
    """All files lie in folder, whose path is short: a unix socket's has room for a hundred characters."""

    node = "gpunode-e2e"
    repeats = 1
    patience_s = 20
    settle_s = 6
    tells_of_devices = False

    def __init__(self, folder: Path, timings: Timings) -> None:
        super().__init__(timings)
        self._folder = folder
        self._setup = Setup()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._server = ApiServer()
        self._kubelet = Kubelet(folder / "dp")
        self._node_agent = NodeAgent(StoreNodeApi(self._server.api, self.node), self._kubelet, self.node)
        self._stack = ExitStack()

    def open(self) -> None:
        self._stack.enter_context(self._server)
        self._server.add_node(self.node)
        self._server.write_kubeconfig(self._folder / "kubeconfig")
        scheduler = Scheduler(self._server.store)
        for part in (scheduler, self._kubelet, self._node_agent):
            self._stack.callback(part.stop)
            part.start()
        self._stack.callback(self._end_agents, signal.SIGKILL)

    def close(self) -> None:
        self._stack.close()

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        files = (f"--kubeconfig={self._folder / 'kubeconfig'}", f"--cache-dir={self._folder / 'cache'}")
        return run(str(KUBECTL), *files, *args, stdin=stdin, check=check)

    def get(self, kind: str, name: str, *args: str) -> Obj:
        """From the store: `until` looks often, and a process for each look costs more than all else."""
        try:
            return self._server.store.get(f"{kind}s", name, "default" if kind == "pod" else "")
        except ApiError as error:
            raise ClusterError(str(error)) from error

    def agents(self, setup: Setup) -> None:
        if self._process is None or setup != self._setup:
            self._end_agents(signal.SIGTERM)
            self._setup = setup
            self._start_agents()

    def kill(self, what: str) -> None:
        if what in AGENTS:  # all in one process
            self._end_agents(signal.SIGKILL)
            self._start_agents()
        elif what == "kubelet":
            self._node_agent.stop()
            self._kubelet.stop()
        else:
            self._server.stop()

    def start(self, component: str) -> None:
        if component == "kubelet":
            self._kubelet.start()
            self._node_agent.start()
        else:
            self._server.start()

    def replace_agents(self) -> None:
        self._end_agents(signal.SIGTERM)
        self._start_agents()

    def log(self, agent: str) -> str:
        return self._log.read_text()

    def inside(self, pod: str) -> Inside:
        grant = self._node_agent.grants[self.get("pod", pod)["metadata"]["uid"]]["main"]
        return Inside(
            environment=grant.env,
            devices=frozenset(device.container_path for device in grant.devices),
            mounts=frozenset(mount.container_path for mount in grant.mounts),
        )

    def add_node(self, name: str, capacity: Mapping[str, str]) -> None:
        self._server.add_node(name)
        status = {"status": {part: dict(capacity) for part in ("capacity", "allocatable")}}
        self.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "--patch", json.dumps(status))

    def set_topology_policy(self, policy: str) -> None:
        self.kill("kubelet")
        self._kubelet.topology_policy = policy
        self.start("kubelet")

    def explain(self) -> str:
        return "\n".join([self.kubectl("get", "pods", "-A", check=False), self._log.read_text()[-3000:]])

    @property
    def _log(self) -> Path:
        return self._folder / f"{self._started}.log"

    def _start_agents(self) -> None:
        self._started += 1
        config = self._write_config()
        flags = {
            "--node-name": self.node,
            "--kubeconfig": str(self._folder / "kubeconfig"),
            "--kubelet-socket": str(self._kubelet.socket),
            "--lock-dir": str(self._folder / "lock"),
            "--http-address": "",
            "--log-format": "json",
            "--simulate": str(self._write(f"fleet-{self._started}.yaml", self._setup.fleet)),
            "--config-dir" if self._setup.configs else "--config-file": str(config),
        }
        more = (*self._setup.flags, *self._setup.nfd_flags, *self._setup.plugin_flags)
        words = (*(word for pair in flags.items() for word in pair), *more)
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_", "GFD_"))}
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "gpunode", "run", *words]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=keep)
        self.until("agents ready", lambda: all(line in self._log.read_text() for line in READY))

    def _write_config(self) -> Path:
        """The config file, or the folder of configs."""
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
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=20)
            self._process = None
