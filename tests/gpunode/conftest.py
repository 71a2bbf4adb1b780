"""A cluster of stand-ins for one Node, and the agents as processes against it."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from node_core.simulate.apiserver import ApiServer
from node_core.simulate.kubelet import Kubelet
from node_core.simulate.node_agent import NodeAgent
from node_core.simulate.node_api import StoreNodeApi

NODE = "n1"


@dataclass
class Cluster:
    """One Node with its kubelet. processes: what `start` started and has to end."""

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
        """Allocatable nvidia.com/gpu."""
        allocatable: dict[str, str] = self.node["status"]["allocatable"]
        return allocatable.get("nvidia.com/gpu")

    def start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """An agent as its own process, logging to <directory>/<n>.log."""
        command = [sys.executable, "-m", module, *arguments, *self.flags(module)]
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

    def until(self, true: Callable[[], Any], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            logs = "\n".join(path.read_text() for path in self.directory.glob("*.log"))
            assert time.monotonic() < deadline, f"it did not come true in time\n{logs}"
            time.sleep(0.01)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # a unix socket's path has room for about a hundred characters, fewer than pytest's own folders take
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
        made = Cluster(directory, server, kubelet)
        yield made
        for process in made.processes:
            process.kill()
            process.wait()
