"""`gpunode release` against the three agents in one process and simulated GPUs, whose NVML sessions are counted."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from device_plugin.settings import PluginSettings
from gfd.agent import GfdSettings
from gpunode.release import BY_HAND, release
from gpunode.run import all_agents
from nfd_lite.agent import NfdSettings
from nfd_lite.sources import ALL, SourceSettings
from node_core.assembly import Edges
from node_core.host.nvml.api import Nvml, OpenNvml
from node_core.host.nvml.lock import NvmlLock
from node_core.host.release_requests import FOLDER, write_request
from node_core.runtime.messages import Pass
from node_core.runtime.process import Running
from node_core.runtime.settings import CommonSettings

GPU = "nvidia.com/gpu"
COUNT = "nvidia.com/gpu.count"
EIGHT = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 8, memory: 81559Mi, compute: "9.0", device_id: "2330"}
"""


class Sessions:
    """NVML with its sessions counted. open: now. begun: all."""

    def __init__(self, real: OpenNvml) -> None:
        self._real, self._lock = real, threading.Lock()
        self.open = self.begun = 0

    @contextmanager
    def __call__(self) -> Iterator[Nvml]:
        with self._real() as nvml:
            self._add(1)
            self.begun += 1
            try:
                yield nvml
            finally:
                self._add(-1)

    def _add(self, step: int) -> None:
        with self._lock:
            self.open += step


class Node:
    """The agents on a cluster of stand-ins. sessions: of the agents that run now."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.lock_dir: Path = cluster.directory / "lock"
        self.scenario = cluster.directory / "scenario.yaml"
        self.scenario.write_text(EIGHT)
        self.running: list[Running] = []

    def start(self) -> None:
        cluster = self.cluster
        common = CommonSettings(
            node_name="n1", kubeconfig=str(cluster.directory / "kubeconfig"), simulate=str(self.scenario),
            host_root=Path("/"), oneshot=False, interval=None, address="", log_format="json", log_level="info",
            lock_dir=self.lock_dir,
        )  # fmt: skip
        edges = Edges(common, "gpunode")
        self.sessions = Sessions(edges.nvml)
        edges.__dict__["nvml"] = self.sessions  # in the place of the cached one
        nfd = NfdSettings(
            label_sources=frozenset(each.name for each in ALL), source_settings=SourceSettings(), white_list=None
        )
        plugin = PluginSettings(kubelet_socket=cluster.kubelet.socket, cdi_folder=cluster.directory / "cdi")
        self.running.append(Running(all_agents(edges, nfd, GfdSettings(), plugin)))
        self.running[-1].start()

    def comes_up(self) -> None:
        self.cluster.until(lambda: self.cluster.labels.get(COUNT) == "8" and self.cluster.gpus == "8")
        self.cluster.until(lambda: self.sessions.open == 1)  # the watch for events
        self.cluster.until(
            lambda: any(each["type"] == "GPUReady" for each in self.cluster.node["status"]["conditions"])
        )

    def stop(self) -> None:
        self.running.pop().stop()

    def call(self, *arguments: str) -> Result:
        return CliRunner().invoke(release, ["--lock-dir", str(self.lock_dir), "--timeout", "20s", *arguments])

    @property
    def requests(self) -> list[str]:
        return sorted(path.name for path in (self.lock_dir / FOLDER).iterdir())

    @property
    def kinds(self) -> list[str]:
        return [name.rpartition("-")[0] for name in self.requests]

    @property
    def gauge(self) -> bytes:
        lines = self.running[-1].services.metrics.render().splitlines()
        return next(line for line in lines if line.startswith(b"gpunode_nvml_released"))


@pytest.fixture
def node(cluster: Any) -> Iterator[Node]:
    made = Node(cluster)
    yield made
    while made.running:
        made.stop()


def begun(
    node: Node, *command: str, before: tuple[str, ...] = (), term: str = "600s", timeout: str = "60s"
) -> subprocess.Popen[bytes]:
    """The release of a command in a process of its own."""
    ours = [sys.executable, "-m", "gpunode", "release", "--lock-dir", str(node.lock_dir)]
    ours += ["--for", term, "--timeout", timeout, "--"]
    return subprocess.Popen([*before, *ours, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class Renewals:
    """Whether the request in the folder has been written several times by now."""

    def __init__(self, node: Node) -> None:
        self._folder, self._seen = node.lock_dir / FOLDER, set[int]()

    def __call__(self) -> bool:
        self._seen.update(path.stat().st_mtime_ns for path in self._folder.glob("[!.]*"))
        return len(self._seen) == 4


def test_nothing_of_ours_is_open_until_it_is_taken_back_and_nobody_loses_anything(node: Node) -> None:
    node.start()
    node.comes_up()
    before = node.cluster.node["metadata"]["labels"], node.cluster.kubelet.device_health(GPU)
    writes = node.cluster.node["metadata"]["resourceVersion"]
    asked = node.call("--for", "1h")
    assert (asked.exit_code, node.sessions.open) == (0, 0)
    assert node.gauge.endswith(b" 1.0")
    begun = node.sessions.begun
    for agent in node.running[-1]._built.agents:
        agent.mailbox.post(Pass())
    grant = node.cluster.kubelet.admit("pod", "main", {GPU: 2})  # asks the plugin, which answers from memory
    assert grant
    assert (node.cluster.node["metadata"]["labels"], node.cluster.kubelet.device_health(GPU)) == before
    problems = node.running[-1].services.readiness.problems()
    assert {why for check, why in problems.items() if "nfd-lite" not in check} == {None}
    assert node.sessions.begun == begun
    assert node.cluster.node["metadata"]["resourceVersion"] == writes
    assert node.call("--end").exit_code == 0
    node.cluster.until(lambda: node.sessions.open == 1 and node.sessions.begun > begun)
    assert node.gauge.endswith(b" 0.0")
    assert node.requests == []


def test_a_command_runs_while_nothing_is_open_and_its_status_is_ours(node: Node) -> None:
    node.start()
    node.comes_up()
    seen = node.cluster.directory / "seen"
    done = node.call("--", "sh", "-c", f"ls {node.lock_dir}/{FOLDER} > {seen}; exit 7")
    assert done.exit_code == 7
    assert seen.read_text().startswith("command-")
    assert node.requests == []
    node.cluster.until(lambda: node.sessions.open == 1)


def test_two_releases_at_once_end_with_the_later(node: Node) -> None:
    node.start()
    node.comes_up()
    assert node.call().exit_code == 0
    begun = node.sessions.begun
    assert node.call("--", "true").exit_code == 0
    assert (node.kinds, node.sessions.open, node.sessions.begun) == ([BY_HAND], 0, begun)
    node.call("--end")
    node.cluster.until(lambda: node.sessions.open == 1)


def test_agents_that_begin_while_it_is_released_open_nothing_and_come_up_after_it(node: Node) -> None:
    assert node.call().exit_code == 0, "where nobody runs the GPUs are free"
    node.start()
    node.cluster.until(lambda: "feature.node.kubernetes.io/kernel-version.full" in node.cluster.labels)
    node.cluster.until(lambda: node.gauge.endswith(b" 1.0"))
    assert node.sessions.begun == 0
    node.call("--end")
    node.comes_up()


def test_a_request_does_not_run_out_under_its_command(node: Node) -> None:
    go = node.cluster.directory / "go"
    os.mkfifo(go)
    with begun(node, "sh", "-c", f"read word < {go}; exit 3", term="1s") as process:
        node.cluster.until(Renewals(node))
        go.write_text("go\n")
        assert process.wait(20) == 3
    assert node.requests == []


def test_a_release_that_is_killed_is_over_after_its_time(node: Node) -> None:
    node.start()
    node.comes_up()
    begun_before, go = node.sessions.begun, node.cluster.directory / "go"
    os.mkfifo(go)
    with begun(node, "sh", "-c", f"read word < {go}", term="1s") as process, go.open("w"):
        assert node.sessions.open == 0
        process.kill()
    node.cluster.until(lambda: node.sessions.open == 1)
    assert node.sessions.begun > begun_before


UNTIL_TOLD = """
trap 'echo told >> {seen}' TERM INT HUP
sleep 60 &
echo began > {seen}
wait
ls {requests} >> {seen}
kill $!
exit 9
"""
"""A command that goes on for a moment when it is told to end."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_release_that_is_told_to_end_tells_its_command_and_waits_for_it(node: Node, number: signal.Signals) -> None:
    seen = node.cluster.directory / "seen"
    script = UNTIL_TOLD.format(seen=seen, requests=node.lock_dir / FOLDER)
    with begun(node, "sh", "-c", script) as process:
        node.cluster.until(lambda: seen.exists() and seen.read_text() == "began\n")
        process.send_signal(number)
        assert process.wait(20) == 9
    assert seen.read_text().startswith("began\ntold\ncommand-")
    assert node.requests == []


def test_a_command_that_a_signal_ends_ends_the_release_as_in_a_shell(node: Node) -> None:
    seen = node.cluster.directory / "seen"
    with begun(node, "sh", "-c", f"echo began > {seen}; exec sleep 60") as process:
        node.cluster.until(lambda: seen.exists() and seen.read_text() == "began\n")
        process.terminate()
        assert process.wait(20) == 128 + 15
    assert node.requests == []


def test_a_release_under_nohup_does_not_end_with_its_terminal(node: Node) -> None:
    seen, go = node.cluster.directory / "seen", node.cluster.directory / "go"
    os.mkfifo(go)
    with begun(node, "sh", "-c", f"echo began > {seen}; read word < {go}; exit 3", before=("nohup",)) as process:
        node.cluster.until(lambda: seen.exists() and seen.read_text() == "began\n")
        process.send_signal(signal.SIGHUP)
        go.write_text("go\n")
        assert process.wait(20) == 3


def test_a_release_that_is_ended_while_it_waits_takes_its_request_back(node: Node) -> None:
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.hold()
    with begun(node, "true") as process:
        node.cluster.until(lambda: (node.lock_dir / FOLDER).is_dir() and node.requests[:1] != [])
        node.cluster.until(lambda: not node.requests[0].startswith("."))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + 2
    stuck.let_go()
    assert node.requests == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--for", "2h"], 2),
        (["--for", "infinite"], 2),
        (["--for", "soon"], 2),
        (["--", "/nonexistent/command"], 127),
        (["--", "/etc/passwd"], 126),
        (["--", "sh", "-c", "kill -9 $$"], 128 + 9),
    ],
)
def test_what_cannot_be_done_has_a_status_and_leaves_no_request(node: Node, arguments: list[str], status: int) -> None:
    assert node.call(*arguments).exit_code == status
    assert not (node.lock_dir / FOLDER).exists() or node.requests == []


def test_where_somebody_does_not_let_go_the_command_is_not_run(node: Node) -> None:
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.hold()
    done = node.call("--timeout", "1s", "--", "touch", str(node.lock_dir / "ran"))
    stuck.let_go()
    assert (done.exit_code, "gfd still has NVML open" in done.output) == (1, True)
    assert not (node.lock_dir / "ran").exists()
    assert node.requests == []


def test_what_killed_releases_left_is_removed_by_the_next(node: Node) -> None:
    for name in ("command-1", "upgrade"):
        os.utime(write_request(node.lock_dir / FOLDER, name, 60), (0, 0))
    assert node.call("--", "true").exit_code == 0
    assert node.requests == ["upgrade"]


def test_who_gives_up_takes_nothing_from_whom_it_was_granted(node: Node) -> None:
    assert node.call("--for", "1h").exit_code == 0
    granted = node.requests
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.hold()
    assert node.call("--timeout", "1s", "--for", "1m").exit_code == 1
    stuck.let_go()
    assert node.requests == granted
    assert node.call("--for", "1m").exit_code == 0
    assert node.kinds == [BY_HAND, BY_HAND]
    assert node.call("--end").exit_code == 0
    assert node.requests == []


def test_it_may_wait_for_as_long_as_it_takes(node: Node) -> None:
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.hold()
    with begun(node, term="1s", timeout="infinite") as process:
        node.cluster.until(Renewals(node))
        stuck.let_go()
        assert process.wait(20) == 0
    assert node.kinds == [BY_HAND]


def test_a_folder_that_cannot_be_written_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(release, ["--lock-dir", str(tmp_path / "file")])
    assert done.exit_code == 1
    assert "Not a directory" in done.output
