"""MPS daemons outlive the process that started them: a reload, and on a host a restart."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpu_core.mps.control import MpsFolder
from gpu_core.nvml.inventory import read_inventory
from node_core.host.atomic_write import write_atomically
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario
from tests.gpu_core.mps.fake_program import SCRIPT, SMI
from tests.gpu_core.mps.stage import is_alive
from tests.gpunode.conftest import Cluster
from tests.nvml.build import IN_CI

GPU = "nvidia.com/gpu"
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")
"""Runs a program as PID 1 of a new PID namespace."""
MPS = "version: v1\nsharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: %d}]}}\n"
WITHOUT = "version: v1\n"


@dataclass
class Node:
    """A node with one GPU, and fake versions of NVIDIA's programs in PATH."""

    cluster: Cluster
    uuid: str

    @property
    def folder(self) -> Path:
        return self.cluster.directory

    @property
    def config(self) -> Path:
        return self.folder / "config" / "config.yaml"

    @property
    def nfd_config(self) -> Path:
        return self.folder / "nfd" / "nfd.conf"

    @property
    def mode(self) -> str:
        return (self.folder / "bin" / self.uuid).read_text().strip()

    @property
    def starts(self) -> list[int]:
        """The PIDs of all daemons that were started."""
        file = self.folder / "mps" / GPU / "pipe" / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def start(self, *prefix: str) -> subprocess.Popen[str]:
        """prefix: a command that runs the process."""
        empty = str(self.folder / "driver")
        return self.cluster.start(
            "gpunode", "run", "--simulate", "t4x1", "--config-file", str(self.config), "--config", str(self.nfd_config),
            "--mps-root", str(self.folder / "mps"), "--device-list-strategy", "envvar",
            "--driver-root", empty, "--driver-root-ctr-path", empty,
            prefix=prefix,
        )  # fmt: skip

    def until_shared(self, gpus: str = "4") -> None:
        self.cluster.until(lambda: self.cluster.gpus == gpus)

    def count(self, event: str) -> int:
        """The number of these events in the logs of all processes."""
        return sum(self.cluster.log(each).count(f'"{event}"') for each in range(len(self.cluster.processes)))


@pytest.fixture
def node(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    scenario = load_scenario("t4x1")
    (gpu,) = read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)).gpus
    node = Node(cluster, gpu.uuid)
    for folder in ("bin", "config", "nfd", "driver"):
        (cluster.directory / folder).mkdir()
    for name, text in {"nvidia-cuda-mps-control": SCRIPT, "nvidia-smi": SMI, gpu.uuid: "Default\n"}.items():
        (cluster.directory / "bin" / name).write_text(text)
        (cluster.directory / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{cluster.directory / 'bin'}:{os.environ['PATH']}")
    node.config.write_text(MPS % 4)
    node.nfd_config.write_text("core: {labelSources: [all]}\n")
    yield node
    for process in cluster.processes:
        process.kill()
    for pid in node.starts:  # left by a failed test
        if is_alive(pid, MpsFolder(base=node.folder / "mps" / GPU)):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.exhaustive
def test_a_daemon_outlives_reloads_and_restarts_until_its_resource_is_not_shared(node: Node) -> None:
    process = node.start()
    node.until_shared()
    (pid,) = node.starts
    assert node.mode == "Exclusive_Process"
    unusable = node.count("MPSStarting")

    write_atomically(node.nfd_config, "core: {labelSources: [cpu]}\n")  # another agent's config
    node.cluster.until(lambda: node.count("mps_daemon_adopted") >= 1)
    process.send_signal(signal.SIGHUP)
    node.cluster.until(lambda: node.count("restarting") >= 2)  # the log folds the repeated line about the daemon
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    process = node.start()
    node.cluster.until(lambda: node.count("mps_daemon_adopted") >= 2)
    node.until_shared()
    assert (node.starts, node.mode) == ([pid], "Exclusive_Process")
    assert is_alive(pid, MpsFolder(base=node.folder / "mps" / GPU))
    assert node.count("MPSStarting") == unusable, "devices remain healthy"

    write_atomically(node.config, MPS % 3)
    node.until_shared("3")
    node.cluster.until(lambda: len(node.starts) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    write_atomically(node.config, WITHOUT)
    node.start()
    node.until_shared("1")
    node.cluster.until(lambda: node.mode == "Default")
    assert len(node.starts) == 2
    node.cluster.until(lambda: node.count("mps_daemon_ended") >= 1)
    commands = (node.folder / "mps" / GPU / "pipe" / "commands").read_text().splitlines()
    assert commands.count("quit") == 2


@pytest.mark.skipif(
    not IN_CI and subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode != 0,
    reason="needs root to create a PID namespace",
)
def test_in_a_container_daemons_end_with_the_process_and_compute_modes_are_restored(node: Node) -> None:
    outer = node.start(*CONTAINER)
    node.until_shared()
    os.kill(read_child(outer.pid), signal.SIGHUP)
    node.cluster.until(lambda: node.count("mps_daemon_adopted") >= 1)
    assert (len(node.starts), node.mode) == (1, "Exclusive_Process")
    os.kill(read_child(outer.pid), signal.SIGTERM)
    assert outer.wait(timeout=60) == 0
    assert node.mode == "Default"
    assert not (node.folder / "mps" / GPU / ".gpunode").exists()


def read_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
