"""`gpunode release` with the three agents in one process and simulated GPUs. The tests count the NVML sessions."""

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
from gfd.settings import GfdSettings
from gpu_core.assembly import Dependencies
from gpu_core.host.release_requests import FOLDER, write_request
from gpu_core.nvml.api import Nvml, OpenNvml
from gpu_core.nvml.lock import NvmlLock
from gpunode.release import MANUAL, release
from gpunode.run import all_agents
from nfd_lite.settings import NfdSettings
from nfd_lite.sources import SOURCES, SourceSettings
from node_core.runtime.instance_lock import InstanceLock
from node_core.runtime.messages import Resync
from node_core.runtime.process import ProcessRunner
from node_core.runtime.settings import CommonSettings
from tests.signals import DEFAULT_SIGNALS

GPU = "nvidia.com/gpu"
COUNT = "nvidia.com/gpu.count"
EIGHT = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 8, memory: 81559Mi, compute: "9.0", device_id: "2330"}
"""


class Sessions:
    """Counts NVML sessions. open: the current number. opened: all since the start."""

    def __init__(self, real: OpenNvml) -> None:
        self._real, self._lock = real, threading.Lock()
        self.open = self.opened = 0

    @contextmanager
    def __call__(self) -> Iterator[Nvml]:
        with self._real() as nvml:
            self._add(1)
            self.opened += 1
            try:
                yield nvml
            finally:
                self._add(-1)

    def _add(self, step: int) -> None:
        with self._lock:
            self.open += step


class Node:
    """The agents and a simulated cluster. sessions: of the running agents."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.lock_dir: Path = cluster.directory / "lock"
        self.scenario = cluster.directory / "scenario.yaml"
        self.scenario.write_text(EIGHT)
        self.running: list[ProcessRunner] = []

    def start(self) -> None:
        cluster = self.cluster
        common = CommonSettings(
            node_name="n1", kubeconfig=str(cluster.directory / "kubeconfig"), simulate=str(self.scenario),
            host_root=Path("/"), oneshot=False, interval=None, address="", log_format="json", log_level="info",
            lock_dir=self.lock_dir,
        )  # fmt: skip
        dependencies = Dependencies(common, "gpunode")
        self.sessions = Sessions(dependencies.nvml)
        dependencies.__dict__["nvml"] = self.sessions  # replaces the cached property
        nfd = NfdSettings(label_sources=frozenset(SOURCES), source_settings=SourceSettings(), white_list=None)
        plugin = PluginSettings(kubelet_socket=cluster.kubelet.socket, cdi_folder=cluster.directory / "cdi")
        self.running.append(ProcessRunner(all_agents(dependencies, nfd, GfdSettings(), plugin)))
        self.running[-1].start()

    def wait_until_ready(self) -> None:
        self.cluster.until(lambda: self.cluster.labels.get(COUNT) == "8" and self.cluster.gpus == "8")
        self.cluster.until(lambda: self.sessions.open == 1)  # the session that waits for NVML events
        self.cluster.until(
            lambda: any(
                (each["type"], each["status"]) == ("GPUReady", "True")
                for each in self.cluster.node["status"]["conditions"]
            )
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


def test_without_an_agent_the_command_does_not_state_that_agents_closed_nvml(tmp_path: Path) -> None:
    done = CliRunner().invoke(release, ["--lock-dir", str(tmp_path), "--for", "5s"])
    assert done.exit_code == 0
    assert done.stdout == "Agents keep NVML closed, for 5 s or until you run: gpunode release --end\n"
    assert done.stderr.startswith(f"gpunode release: no agent has its lock in {tmp_path}: none runs on this node, ")
    done = CliRunner().invoke(release, ["--lock-dir", str(tmp_path), "--", "true"])
    assert (done.exit_code, "no agent has its lock" in done.stderr) == (0, True)


def test_with_an_agent_that_has_its_lock_all_agents_have_closed_nvml(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path, "gpu-device-plugin", "n1")
    assert lock.acquire() is None
    done = CliRunner().invoke(release, ["--lock-dir", str(tmp_path), "--for", "5s"])
    lock.release()
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("All agents have closed NVML, for 5 s")


@pytest.fixture
def node(cluster: Any) -> Iterator[Node]:
    made = Node(cluster)
    yield made
    while made.running:
        made.stop()


def start_release(
    node: Node, *command: str, before: tuple[str, ...] = (), term: str = "600s", timeout: str = "60s"
) -> subprocess.Popen[bytes]:
    """Starts `gpunode release -- command` as a process."""
    release_command = [sys.executable, "-m", "gpunode", "release", "--lock-dir", str(node.lock_dir)]
    release_command += ["--for", term, "--timeout", timeout, "--"]
    return subprocess.Popen(
        [*DEFAULT_SIGNALS, *before, *release_command, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


class Renewals:
    """Whether the request was written at least four times."""

    def __init__(self, node: Node) -> None:
        self._folder, self._seen = node.lock_dir / FOLDER, set[int]()

    def __call__(self) -> bool:
        self._seen.update(path.stat().st_mtime_ns for path in self._folder.glob("[!.]*"))
        return len(self._seen) == 4


def test_a_release_closes_all_sessions_until_its_end_and_changes_no_label_or_device(node: Node) -> None:
    node.start()
    node.wait_until_ready()
    before = node.cluster.node["metadata"]["labels"], node.cluster.kubelet.device_health(GPU)
    writes = node.cluster.node["metadata"]["resourceVersion"]
    done = node.call("--for", "1h")
    assert (done.exit_code, node.sessions.open) == (0, 0)
    assert node.gauge.endswith(b" 1.0")
    opened = node.sessions.opened
    for agent in node.running[-1]._built.agents:
        agent.mailbox.post(Resync())
    grant = node.cluster.kubelet.admit("pod", "main", {GPU: 2})  # calls the plugin, which does not use NVML for this
    assert grant
    assert (node.cluster.node["metadata"]["labels"], node.cluster.kubelet.device_health(GPU)) == before
    problems = node.running[-1].services.readiness.problems()
    assert {why for check, why in problems.items() if "nfd-lite" not in check} == {None}
    assert node.sessions.opened == opened
    assert node.cluster.node["metadata"]["resourceVersion"] == writes
    assert node.call("--end").exit_code == 0
    node.cluster.until(lambda: node.sessions.open == 1 and node.sessions.opened > opened)
    node.cluster.until(lambda: node.gauge.endswith(b" 0.0"))
    assert node.requests == []


def test_a_command_runs_while_no_session_is_open_and_determines_the_exit_status(node: Node) -> None:
    node.start()
    node.wait_until_ready()
    seen = node.cluster.directory / "seen"
    done = node.call("--", "sh", "-c", f"ls {node.lock_dir}/{FOLDER} > {seen}; exit 7")
    assert done.exit_code == 7
    assert seen.read_text().startswith("command-")
    assert node.requests == []
    node.cluster.until(lambda: node.sessions.open == 1)


@pytest.mark.exhaustive
def test_the_agents_resume_when_the_last_of_two_releases_ends(node: Node) -> None:
    node.start()
    node.wait_until_ready()
    assert node.call().exit_code == 0
    opened = node.sessions.opened
    assert node.call("--", "true").exit_code == 0
    assert (node.kinds, node.sessions.open, node.sessions.opened) == ([MANUAL], 0, opened)
    node.call("--end")
    node.cluster.until(lambda: node.sessions.open == 1)


def test_agents_that_start_during_a_release_open_no_session_before_its_end(node: Node) -> None:
    assert node.call().exit_code == 0, "without agents the release succeeds at once"
    node.start()
    node.cluster.until(lambda: "feature.node.kubernetes.io/kernel-version.full" in node.cluster.labels)
    node.cluster.until(lambda: node.gauge.endswith(b" 1.0"))
    assert node.sessions.opened == 0
    node.call("--end")
    node.wait_until_ready()


@pytest.mark.exhaustive
def test_a_request_is_renewed_while_its_command_runs(node: Node) -> None:
    go = node.cluster.directory / "go"
    os.mkfifo(go)
    with start_release(node, "sh", "-c", f"read word < {go}; exit 3", term="1s") as process:
        node.cluster.until(Renewals(node))
        go.write_text("go\n")
        assert process.wait(60) == 3
    assert node.requests == []


@pytest.mark.exhaustive
def test_the_request_of_a_killed_release_expires(node: Node) -> None:
    node.start()
    node.wait_until_ready()
    opened_before, go = node.sessions.opened, node.cluster.directory / "go"
    os.mkfifo(go)
    with start_release(node, "sh", "-c", f"read word < {go}", term="1s") as process, go.open("w"):
        assert node.sessions.open == 0
        process.kill()
    node.cluster.until(lambda: node.sessions.open == 1)
    assert node.sessions.opened > opened_before


TRAP_SIGNALS = """
trap 'echo signal >> {seen}' TERM INT HUP
sleep 60 &
echo started > {seen}
wait
ls {requests} >> {seen}
kill $!
exit 9
"""
"""A command that handles a signal and then ends by itself."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_forwarded_to_the_command_and_the_release_waits_for_it(node: Node, number: signal.Signals) -> None:
    seen = node.cluster.directory / "seen"
    script = TRAP_SIGNALS.format(seen=seen, requests=node.lock_dir / FOLDER)
    with start_release(node, "sh", "-c", script) as process:
        node.cluster.until(lambda: seen.exists() and seen.read_text() == "started\n")
        process.send_signal(number)
        assert process.wait(60) == 9
    assert seen.read_text().startswith("started\nsignal\ncommand-")
    assert node.requests == []


def test_the_exit_status_of_a_command_that_a_signal_ended_is_that_of_a_shell(node: Node) -> None:
    seen = node.cluster.directory / "seen"
    with start_release(node, "sh", "-c", f"echo started > {seen}; exec sleep 60") as process:
        node.cluster.until(lambda: seen.exists() and seen.read_text() == "started\n")
        process.terminate()
        assert process.wait(60) == 128 + 15
    assert node.requests == []


def test_a_release_under_nohup_ignores_sighup(node: Node) -> None:
    seen, go = node.cluster.directory / "seen", node.cluster.directory / "go"
    os.mkfifo(go)
    with start_release(
        node, "sh", "-c", f"echo started > {seen}; read word < {go}; exit 3", before=("nohup",)
    ) as process:
        node.cluster.until(lambda: seen.exists() and seen.read_text() == "started\n")
        process.send_signal(signal.SIGHUP)
        go.write_text("go\n")
        assert process.wait(60) == 3


def test_a_release_that_is_interrupted_while_it_waits_removes_its_request(node: Node) -> None:
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.acquire()
    with start_release(node, "true") as process:
        node.cluster.until(lambda: (node.lock_dir / FOLDER).is_dir() and node.requests[:1] != [])
        node.cluster.until(lambda: not node.requests[0].startswith("."))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + 2
    stuck.release()
    assert node.requests == []


def test_a_signal_right_after_the_request_was_written_removes_the_request(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_and_end(folder: Path, name: str, seconds: float) -> None:
        write_request(folder, name, seconds)
        assert node.requests == [name]
        sys.exit(128 + signal.SIGINT)

    monkeypatch.setattr("gpunode.release.write_request", write_and_end)
    assert node.call("--", "true").exit_code == 128 + signal.SIGINT
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
def test_a_failed_release_has_an_exit_status_and_leaves_no_request(
    node: Node, arguments: list[str], status: int
) -> None:
    assert node.call(*arguments).exit_code == status
    assert not (node.lock_dir / FOLDER).exists() or node.requests == []


def test_the_command_does_not_run_if_an_agent_does_not_close_nvml(node: Node) -> None:
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.acquire()
    done = node.call("--timeout", "1s", "--", "touch", str(node.lock_dir / "ran"))
    stuck.release()
    assert (done.exit_code, "still have NVML open: gfd" in done.output) == (1, True)
    assert not (node.lock_dir / "ran").exists()
    assert node.requests == []


def test_a_release_removes_the_stale_requests_of_killed_releases(node: Node) -> None:
    for name in ("command-1", "upgrade"):
        os.utime(write_request(node.lock_dir / FOLDER, name, 60), (0, 0))
    assert node.call("--", "true").exit_code == 0
    assert node.requests == ["upgrade"]


@pytest.mark.exhaustive
def test_a_release_that_times_out_does_not_end_another_release(node: Node) -> None:
    assert node.call("--for", "1h").exit_code == 0
    requests = node.requests
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.acquire()
    assert node.call("--timeout", "1s", "--for", "1m").exit_code == 1
    stuck.release()
    assert node.requests == requests
    assert node.call("--for", "1m").exit_code == 0
    assert node.kinds == [MANUAL, MANUAL]
    assert node.call("--end").exit_code == 0
    assert node.requests == []


@pytest.mark.exhaustive
def test_an_infinite_timeout_renews_the_request_while_it_waits(node: Node) -> None:
    stuck = NvmlLock(node.lock_dir, "gfd")
    stuck.acquire()
    with start_release(node, term="1s", timeout="infinite") as process:
        node.cluster.until(Renewals(node))
        stuck.release()
        assert process.wait(60) == 0
    assert node.kinds == [MANUAL]


def test_a_lock_folder_that_is_not_writable_is_an_error_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(release, ["--lock-dir", str(tmp_path / "file")])
    assert done.exit_code == 1
    assert "a part of the path is not a folder" in done.output


def test_a_folder_of_requests_that_cannot_be_listed_is_an_error_of_end(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("not a folder")
    result = CliRunner().invoke(release, ["--lock-dir", str(tmp_path), "--end"])
    assert result.exit_code == 1
    assert result.output.startswith(
        f"Error: cannot change the requests in {tmp_path / FOLDER}: a part of the path is not a folder."
    )


def test_without_a_release_there_is_nothing_to_end(tmp_path: Path) -> None:
    result = CliRunner().invoke(release, ["--lock-dir", str(tmp_path), "--end"])
    assert (result.exit_code, result.output) == (0, "")


def test_end_refuses_a_command_instead_of_ignoring_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(release, ["--lock-dir", str(tmp_path), "--end", "--", "true"])
    assert result.exit_code == 2
    assert "--end does not run a command" in result.output
