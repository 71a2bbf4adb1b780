"""`gpunode release` with a device plugin on pynvml and the C library, which reports the number of open sessions."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node_core.values import replace
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from simulation.scenarios.scenario import load_scenario
from tests.nvml.build import build_library
from tests.nvml.discoveries import ROOT
from tests.nvml.scenario_lines import VARIABLE, render_lines, write_host_root
from tests.waiting import until

SESSIONS = "GPUNODE_NVML_SESSIONS"
GPU = "nvidia.com/gpu"


@dataclass
class Place:
    folder: Path
    kubelet: Kubelet
    environment: dict[str, str]

    @property
    def sessions(self) -> list[int]:
        """The number of open sessions after each nvmlInit and nvmlShutdown."""
        path = Path(self.environment[SESSIONS])
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpunode", "release", "--lock-dir", str(self.folder / "run"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=50)


@contextlib.contextmanager
def node(library: Path, *more: str) -> Iterator[Place]:
    """A node whose plugin uses this library. more: additional lines of the scenario."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="release-")))
        server = stack.enter_context(ApiServer())
        server.add_node("n1", labels={"nvidia.com/gpu.present": "true"})
        server.write_kubeconfig(folder / "kubeconfig")
        kubelet = Kubelet(folder / "dp")
        stack.callback(kubelet.stop)
        kubelet.start()
        scenario = load_scenario("h100x8")
        (folder / "lines").write_text(render_lines(scenario, more=more))
        host = write_host_root(folder / "host", scenario)
        environment = {**os.environ, VARIABLE: str(folder / "lines"), SESSIONS: str(folder / "sessions")}
        command = [
            sys.executable, "-m", "device_plugin", "--node-name", "n1", "--kubeconfig", str(folder / "kubeconfig"),
            "--host-root", str(host), "--driver-root", str(library.parents[2]),
            "--driver-root-ctr-path", str(library.parents[2]), "--lock-dir", str(folder / "run"),
            "--log-format", "json", "--http-address", "", "--kubelet-socket", str(kubelet.socket), "--cdi-dir", str(folder / "cdi"),
        ]  # fmt: skip
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield Place(folder, kubelet, environment)


@pytest.fixture
def place(library: Path) -> Iterator[Place]:
    with node(library) as made:
        yield made


@pytest.mark.exhaustive
def test_nvml_is_shut_down_during_a_release_and_initialised_again(place: Place) -> None:
    until(lambda: len(place.kubelet.device_health(GPU)) == 8 and place.sessions[-1:] == [1])
    devices = place.kubelet.device_health(GPU)
    seen = place.folder / "seen"
    done = place.release("--", "cp", place.environment[SESSIONS], str(seen))
    assert (done.returncode, done.stderr) == (0, "")
    assert seen.read_text().splitlines()[-1] == "0", "the library's own count, while the command ran"
    until(lambda: place.sessions[-1] == 1)
    assert max(place.sessions) <= 2
    assert place.kubelet.device_health(GPU) == devices


EXCHANGE = "cp {folder}/new_lines {folder}/lines && cp {new} {old}.new && mv {old}.new {old}"


@pytest.mark.exhaustive
def test_a_driver_is_replaced_under_the_plugin_and_no_device_is_lost(tmp_path: Path) -> None:
    before = load_scenario("h100x8")
    assert before.driver is not None
    after = replace(before, driver=replace(before.driver, version="999.1"))
    old, new = (
        build_library(tmp_path / name, fits=fits) for name, fits in (("old", before.driver.version), ("new", "999.1"))
    )
    with node(old) as place:
        until(lambda: len(place.kubelet.device_health(GPU)) == 8 and place.sessions[-1:] == [1])
        devices = place.kubelet.device_health(GPU)
        (place.folder / "new_lines").write_text(render_lines(after))
        done = place.release("--", "sh", "-c", EXCHANGE.format(folder=place.folder, new=new, old=old))
        assert done.returncode == 0
        until(lambda: '"nvml_library_exchanged"' in place.log and place.sessions[-1] == 1)
        assert place.kubelet.device_health(GPU) == devices
        assert '"version": "999.1"' in place.log
        until(lambda: place.log.count('"nvml_events_failed"') == place.log.count('"nvml_events_recovered"'))


def test_with_a_hanging_driver_the_command_does_not_run(library: Path) -> None:
    with node(library, "hang nvmlEventSetWait_v2 *") as place:
        until(lambda: len(place.kubelet.device_health(GPU)) == 8 and place.sessions[-1:] == [1])
        done = place.release("--timeout", "1s", "--", "touch", str(place.folder / "ran"))
        assert (done.returncode, "still have NVML open: gpu-device-plugin" in done.stderr) == (1, True)
        assert not (place.folder / "ran").exists()
        assert list((place.folder / "run/release.d").iterdir()) == []
        assert place.kubelet.device_health(GPU) == dict.fromkeys(place.kubelet.device_health(GPU), True)
