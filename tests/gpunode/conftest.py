"""A simulated cluster with one Node, and the agents as processes that use it."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from tests.waiting import until

NODE = "n1"


@dataclass
class Cluster:
    """One Node with its kubelet. processes: started by `start`; the fixture kills them."""

    directory: Path
    server: ApiServer
    kubelet: Kubelet
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def node(self) -> dict[str, Any]:
        return self.server.store.get("nodes", NODE)

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.node["metadata"]["labels"]
        return labels

    @property
    def gpus(self) -> str | None:
        """The allocatable amount of nvidia.com/gpu."""
        allocatable: dict[str, str] = self.node["status"]["allocatable"]
        return allocatable.get("nvidia.com/gpu")

    def start(self, module: str, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Starts an agent as a process that logs to <directory>/<n>.log. prefix: a command that runs the process."""
        command = [*prefix, sys.executable, "-m", module, *arguments, *self.flags(module)]
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_", "GFD_"))}
        with (self.directory / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log, text=True, env=keep)
        self.processes.append(process)
        return process

    def flags(self, module: str) -> list[str]:
        flags = {
            "--node-name": NODE,
            "--kubeconfig": str(self.directory / "kubeconfig"),
            "--lock-dir": str(self.directory / "lock"),
            "--http-address": "",
            "--log-format": "json",
        }
        if module not in ("gfd", "nfd_lite"):
            flags["--kubelet-socket"] = str(self.kubelet.socket)
            flags["--cdi-dir"] = str(self.directory / "cdi")
        return [word for pair in flags.items() for word in pair]

    def log(self, number: int) -> str:
        return (self.directory / f"{number}.log").read_text()

    def until(self, true: Callable[[], Any]) -> None:
        until(true, lambda: "\n".join(path.read_text() for path in self.directory.glob("*.log")))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # pytest's tmp_path is too long for the path of a unix socket, which has at most 107 characters
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-test-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        server.write_kubeconfig(directory / "kubeconfig")
        kubelet = Kubelet(directory / "dp")
        agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
        stack.callback(kubelet.stop)
        kubelet.start()
        stack.callback(agent.stop)
        agent.start()
        cluster = Cluster(directory, server, kubelet)
        yield cluster
        for process in cluster.processes:
            process.kill()
            process.wait()
