"""The demo as a process."""

import os
import platform
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gpunode.demo.control import KINDS
from tests.gpunode.verbs import run_verb
from tests.signals import DEFAULT_SIGNALS
from tests.waiting import until

COMMAND = [sys.executable, "-m", "gpunode", "demo"]


def environment(**more: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_", "GFD_"))}
    return {**kept, **more}


def demo(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=50, check=False, env=environment(**more)
    )


def test_the_tour_labels_this_machine_and_advertises_eight_simulated_gpus() -> None:
    done = demo("--once", "--gpus", "h100x8")
    assert done.returncode == 0, done.stderr
    assert f"kernel-version.full                 {platform.release()}" in done.stdout
    assert "simulated: h100x8" in done.stdout
    assert "nvidia.com/gpu  capacity 8, allocatable 8" in done.stdout
    assert "env NVIDIA_VISIBLE_DEVICES  GPU-" in done.stdout


@pytest.mark.exhaustive
def test_the_tour_shows_all_resources_and_a_pod_with_a_mig_device_on_an_ascii_terminal() -> None:
    done = demo("--once", "--gpus", "h100x8-mig-mixed", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    for resource in ("gpu", "mig-1g.10gb", "mig-1g.10gb.me", "mig-2g.20gb", "mig-3g.40gb"):
        assert re.search(rf"^  nvidia.com/{resource} +capacity \d, allocatable \d +$", done.stdout, re.MULTILINE)
    assert "        nvidia.com/mig-1g.10gb: 1" in done.stdout
    assert "env NVIDIA_VISIBLE_DEVICES  MIG-" in done.stdout


@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", ["none", "a100x4-mig-single", "mixed-models", "gb10", "jetson-orin", "wsl"])
def test_the_tour_completes_in_each_scenario(scenario: str) -> None:
    done = demo("--gpus", scenario)
    assert done.returncode == 0, done.stderr
    advertised = "advertises nothing" if scenario == "none" else "registers with the kubelet"
    assert f"gpu-device-plugin {advertised}" in done.stdout


def test_without_rich_the_demo_names_the_package_to_install() -> None:
    code = "import sys; sys.modules['rich'] = None; from gpunode.__main__ import gpunode; gpunode(['demo', '--once'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "gpunode demo: the package rich is not installed. Run: python3 -m pip install rich\n"


def test_an_unknown_scenario_is_refused_with_the_list_of_names() -> None:
    done = run_verb("demo", "--gpus", "h100")
    assert done.exit_code == 2
    assert "no scenario 'h100'" in done.stderr
    assert "h100x8" in done.stderr


def test_the_help_of_fault_lists_all_kinds() -> None:
    done = run_verb("demo", "fault", "--help")
    assert done.exit_code == 0
    assert all(f"kind: {kind}" in done.stdout for kind in KINDS)


def test_a_temporary_folder_that_is_too_long_for_sockets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    done = run_verb("demo", "--once", "--gpus", "t4x1")
    assert list(long.iterdir()) == []
    assert done.exit_code == 2
    assert "is too long for Unix sockets. Set TMPDIR to a shorter path" in done.stderr


@pytest.mark.exhaustive
def test_a_second_signal_does_not_end_the_removal_of_all_components(running: "Interactive") -> None:
    running.wait_for("Watching the cluster.")
    (kubeconfig,) = re.findall(r"export KUBECONFIG=(\S+)", running.text)
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        running.process.send_signal(number)
    assert running.process.wait(30) in (0, 129, 130, 143)
    assert not Path(kubeconfig).parent.exists()
    assert "Traceback" not in running.screen


def test_a_command_without_a_running_demo_is_an_error_in_one_line() -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        done = demo("fault", "lost", "gpu=3", TMPDIR=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("gpunode demo fault: no demo is running")
    assert done.stderr.count("\n") == 1


class Interactive:
    """The demo in a terminal of 40 columns. screen: all output."""

    def __init__(self, folder: str, *arguments: str) -> None:
        self.screen = ""
        self._master, slave = pty.openpty()
        self.env = environment(TMPDIR=folder, COLUMNS="40", LINES="30", TERM="xterm", PYTHONIOENCODING="ascii")
        self.process = subprocess.Popen(
            [*DEFAULT_SIGNALS, *COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.env,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """The output without colors."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.screen)

    @property
    def words(self) -> str:
        """The output without colors and line breaks."""
        return " ".join(self.text.split())

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.words, lambda: self.screen)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=30, check=False)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                content = os.read(self._master, 4096)
            except OSError:  # the process has ended
                return
            self.screen += content.decode("ascii")


@pytest.fixture
def running() -> Iterator[Interactive]:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        interactive = Interactive(folder, "--gpus", "t4x1")
        yield interactive
        interactive.close()


def test_the_demo_shows_faults_and_changes_and_survives_the_deletion_of_its_node(running: Interactive) -> None:
    running.wait_for("Watching the cluster.")
    (kubeconfig,) = re.findall(r"export KUBECONFIG=(\S+)", running.text)  # in one piece
    done = running.run(*COMMAND, "fault", "lost", "gpu=0")
    assert (done.returncode, done.stdout) == (0, "added: lost gpu=0\n"), done.stderr
    running.wait_for("kubelet nvidia.com/gpu 1 -> 0 of 1 (not healthy: GPU 0 (GPU-")
    running.wait_for("Event GPUUnhealthy Node")
    assert running.run(*COMMAND, "fault", "lost", "gpu=1").returncode == 2
    kubectl = (str(Path(sys.executable).parent / "kubectl"), "--kubeconfig", kubeconfig)
    node = running.run(*kubectl, "get", "nodes", "-o", "name").stdout.strip()
    running.run(*kubectl, "label", node, "nvidia.com/gpu.count-")
    running.wait_for("kubectl-label nvidia.com/gpu.count - 1")
    assert running.run(*kubectl, "delete", node).returncode == 0
    running.wait_for("- deleted")
    running.wait_for("+ created")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0
    assert "Traceback" not in running.screen
    assert not Path(kubeconfig).parent.exists()
