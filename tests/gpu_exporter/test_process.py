"""The process gpu-exporter with simulated GPUs: scrapes, releases of NVML, faults and files of counters."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.samples import Sample as Parsed

from gpu_core.assembly import gpu_dependencies, host_program
from gpu_core.host.release_requests import FOLDER, write_request
from gpu_core.nvml.api import Nvml, OpenNvml
from gpu_core.nvml.bounded_call import BoundedCall
from gpu_exporter.__main__ import command
from gpu_exporter.agent import ExporterController, build_agent
from gpu_exporter.settings import exporter_settings
from node_core.grpc_h2.methods import Unary
from node_core.kubelet.server import UnixServer
from node_core.kubelet.sockets import DEVICE_PLUGIN_DIR
from node_core.runtime.command import parse_command
from node_core.runtime.messages import Resync
from node_core.runtime.process import ProcessRunner
from node_core.runtime.services import Services
from simulation.scenarios.scenario import load_scenario, parse_fault
from tests.gpu_exporter.readings import Counting
from tests.gpu_exporter.views import find, parse, values
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SCENARIO = """
driver: {version: "570.1", cuda: "12.8"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330", use: {gpu: 87}}
"""


MIG = """
driver: {version: "570.1", cuda: "12.8"}
gpus:
  - model: NVIDIA H100 80GB HBM3
    count: 1
    memory: 81559Mi
    compute: "9.0"
    device_id: "2330"
    mig: {mode: enabled, instances: [3g.40gb, 3g.40gb]}
"""


class Sessions:
    """Counts the sessions of NVML and the calls in them."""

    def __init__(self, real: OpenNvml) -> None:
        self._real, self._lock = real, threading.Lock()
        self.open = self.opened = 0
        self.called: list[Counting] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Nvml]:
        with self._real() as nvml:
            counting: Any = Counting(nvml)
            with self._lock:
                self.open += 1
                self.opened += 1
                self.called.append(counting)
            try:
                yield counting
            finally:
                with self._lock:
                    self.open -= 1

    @property
    def calls(self) -> int:
        return sum(sum(each.calls.values()) for each in self.called)


@dataclass
class Place:
    """An exporter in this process."""

    folder: Path
    port: int = 0
    running: ProcessRunner | None = None
    faults: int = 0
    built: list[Any] = field(default_factory=list)

    @property
    def scenario(self) -> Path:
        return self.folder / "scenario.yaml"

    def start(self, *more: str, scenario: str = SCENARIO) -> None:
        self.scenario.write_text(scenario)
        flags = [
            "--simulate", str(self.scenario), "--lock-dir", str(self.folder), "--host-root", str(self.folder),
            "--http-address", "", "--address", "127.0.0.1:0", "--kubernetes=false", *more,
        ]  # fmt: skip
        values_of_flags = parse_command(command, flags, "gpu-exporter")
        assert values_of_flags is not None
        dependencies = gpu_dependencies(values_of_flags, "gpu-exporter")
        self.sessions = Sessions(dependencies.nvml)
        dependencies.__dict__["nvml"] = self.sessions  # replaces the cached property
        self.simulated = dependencies.simulated
        settings = exporter_settings(values_of_flags)

        def build(services: Services) -> list[Any]:
            self.built = [build_agent(settings, dependencies, services)]
            return self.built

        self.running = ProcessRunner(host_program(dependencies, build))
        self.running.start()

    def add_fault(self, **fault: object) -> None:
        assert self.simulated is not None
        self.faults += 1
        self.simulated.add_faults(parse_fault(self.simulated.scenario, fault, number=1000 * self.faults))

    @property
    def controller(self) -> ExporterController:
        controller: ExporterController = self.built[0].controller
        return controller

    def get(self, path: str = "/metrics") -> tuple[int, str]:
        port = self.controller.port
        assert port is not None
        connection = http.client.HTTPConnection("127.0.0.1", port.port, timeout=60)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def scrape(self) -> list[Parsed]:
        status, text = self.get()
        assert status == 200
        return parse(text)

    def profiles(self) -> list[str]:
        """The profiles in all series of one scrape, which must be the same."""
        samples = self.scrape()
        names = ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "gpunode_mig_device_info")
        used, free, infos = (sorted(each.labels["GPU_I_PROFILE"] for each in find(samples, name)) for name in names)
        assert used == free
        assert not used or infos == used
        return used

    def up(self) -> list[float]:
        return values(self.scrape(), "gpunode_gpu_up")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    built = Place(tmp_path)
    yield built
    if built.running is not None:
        built.running.stop()


def test_the_exporter_serves_the_values_of_all_gpus(place: Place) -> None:
    place.start()
    until(lambda: place.up() == [1, 1])
    until(lambda: len(find(place.scrape(), "DCGM_FI_PROF_GR_ENGINE_ACTIVE")) == 2)  # needs a second reading
    assert values(place.scrape(), "DCGM_FI_DEV_GPU_UTIL") == [87, 87]
    assert place.get("/health") == (200, "ok\n")
    (info,) = find(place.scrape(), "gpunode_gpu_exporter_info")
    assert info.labels["simulated"] == "true"


def test_a_scrape_calls_nothing_of_nvml(place: Place) -> None:
    place.start("--collect-interval", "3600000")  # ms; readings begin at its multiples, and none during the scrapes
    until(lambda: len(find(place.scrape(), "DCGM_FI_PROF_GR_ENGINE_ACTIVE")) == 2)
    until(lambda: values(place.scrape(), "DCGM_FI_DEV_XID_ERRORS") == [0, 0])
    waits = sum(each.calls["nvmlEventSetWait_v2"] for each in place.sessions.called)
    calls = place.sessions.calls - waits
    with ThreadPoolExecutor(20) as pool:
        bodies = set(pool.map(lambda _: place.get(), range(100)))
    assert len(bodies) == 1
    waits = sum(each.calls["nvmlEventSetWait_v2"] for each in place.sessions.called)
    assert place.sessions.calls - waits == calls


@pytest.mark.parametrize("response", [None, b"", b"\xff" * 1000], ids=["absent", "empty", "garbage"])
def test_without_the_pods_the_gpus_have_their_series(place: Place, response: bytes | None) -> None:
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket is short
        path = Path(folder, "pods", "kubelet.sock")
        path.parent.mkdir()
        Path(folder, DEVICE_PLUGIN_DIR.name).mkdir()
        server = UnixServer(path, {"/v1.PodResourcesLister/List": Unary(lambda _: response or b"")})
        if response is not None:
            server.start()
        place.start("--kubernetes=true", "--pod-resources-kubelet-socket", str(path))
        until(lambda: place.up() == [1, 1])
        check = "gpu-exporter/pod-resources"
        readiness = place.controller._services.readiness
        until(lambda: check in readiness.problems() and (readiness.problems()[check] is None) == (response == b""))
        assert not find(place.scrape(), "gpunode_pod_gpu_info")
        assert values(place.scrape(), "DCGM_FI_DEV_GPU_UTIL") == [87, 87]
        server.stop()


def test_a_release_closes_all_sessions_and_drops_the_values_until_its_end(place: Place) -> None:
    place.start()
    until(lambda: place.up() == [1, 1])
    request = write_request(place.folder / FOLDER, "manual", 3600)
    until(lambda: place.sessions.open == 0)
    samples = place.scrape()
    assert [each.name for each in samples] == ["gpunode_gpu_exporter_info"]
    assert place.get("/health")[0] == 200
    opened = place.sessions.opened
    request.unlink()
    until(lambda: place.up() == [1, 1])
    assert place.sessions.opened > opened


def test_a_lost_gpu_costs_its_own_values_and_an_xid_is_exported(place: Place) -> None:
    place.start("--collect-interval=100")
    until(lambda: place.up() == [1, 1])
    until(lambda: len(find(place.scrape(), "DCGM_FI_DEV_XID_ERRORS")) == 2)
    place.add_fault(gpu=1, kind="lost")
    place.add_fault(gpu=0, kind="xid", code=94)
    until(lambda: place.up() == [1, 0])
    until(lambda: values(place.scrape(), "gpunode_gpu_xids_total", xid="94") == [1])
    samples = place.scrape()
    assert [each.labels["gpu"] for each in find(samples, "DCGM_FI_DEV_GPU_UTIL")] == ["0"]
    assert values(samples, "DCGM_FI_DEV_XID_ERRORS", gpu="0") == [94]


def _is_last(place: Place, layout: list[str], expected: list[list[str]]) -> bool:
    found = place.profiles()
    assert found in expected
    return found == layout


def test_no_scrape_contains_parts_of_two_mig_layouts(place: Place) -> None:
    place.start("--collect-interval=100", scenario=MIG)
    layouts = [["3g.40gb", "3g.40gb"], ["1g.10gb"] * 4, ["7g.80gb"]]
    until(lambda: place.profiles() == layouts[0])
    for old, new in pairwise(layouts):
        place.add_fault(gpu=0, kind="mig", instances=new)
        until(partial(_is_last, place, new, [[], old, new]))


def test_the_agent_stops_while_a_gpu_hangs(place: Place) -> None:
    place.start(scenario=SCENARIO + "faults: [{at: 0, kind: hang, gpu: 1, call: nvmlDeviceGetTemperature}]\n")
    until(lambda: values(place.scrape(), "gpunode_gpu_up", gpu="0") == [1])
    assert not find(place.scrape(), "DCGM_FI_DEV_GPU_UTIL", gpu="1")
    assert place.running is not None
    place.running.stop()
    place.running = None


def test_a_gpu_that_hangs_from_the_start_does_not_hide_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = property(lambda _: 2.0, lambda *_: None)
    monkeypatch.setattr(BoundedCall, "_deadline", deadline, raising=False)
    faults = "faults: [{at: 0, kind: hang, gpu: 1, call: nvmlDeviceGetName}]\n"
    place.start("--collect-interval=100", scenario=SCENARIO + faults)
    until(lambda: place.up() == [1, 0])
    samples = place.scrape()
    assert [each.labels["gpu"] for each in find(samples, "DCGM_FI_DEV_GPU_UTIL")] == ["0"]
    assert [(each.labels["gpu"], each.labels["UUID"]) for each in find(samples, "gpunode_gpu_up")][1] == ("1", "")
    assert place.simulated is not None
    place.simulated.replace_faults(load_scenario(str(place.scenario)).without_faults())
    until(lambda: place.built[0].mailbox.post(Resync()) or place.up() == [1, 1])


@contextlib.contextmanager
def program(folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The real program. Yields it, with the log at its standard error."""
    flags = [
        "--simulate", "t4x1", "--lock-dir", str(folder), "--host-root", str(folder), "--http-address", "",
        "--kubernetes=false", "--log-format", "json", *more,
    ]  # fmt: skip
    command_line = [sys.executable, "-m", "gpu_exporter", *flags]
    with subprocess.Popen(
        command_line, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def get(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except OSError:
        return ""
    finally:
        connection.close()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number: int = taken.getsockname()[1]
    return number


def test_a_changed_file_of_counters_is_used_without_a_restart(tmp_path: Path, free_port: int) -> None:
    file = tmp_path / "counters.csv"
    file.write_text("DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n")
    with program(tmp_path, "--address", f"127.0.0.1:{free_port}", "-f", str(file)) as process:
        until(lambda: "\nDCGM_FI_DEV_GPU_TEMP{" in get(free_port))
        assert "DCGM_FI_DEV_POWER_USAGE" not in get(free_port)
        fresh = tmp_path / "fresh"
        fresh.write_text("DCGM_FI_DEV_POWER_USAGE, gauge, Power.\n")
        fresh.replace(file)
        until(lambda: "\nDCGM_FI_DEV_POWER_USAGE{" in get(free_port))
        assert "DCGM_FI_DEV_GPU_TEMP" not in get(free_port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_wrong_flags_end_the_program_with_status_2_and_one_line_for_each(tmp_path: Path) -> None:
    with program(tmp_path, "-a", "9400", "-c", "x") as process:
        assert process.wait(60) == 2
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["gpu-exporter", "--address"],
        ["gpu-exporter", "--collect-interval"],
    ]
