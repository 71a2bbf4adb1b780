"""A simulated Node with `gpunode run` as a process, and the count of what the Node loses."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.exporter import free_port
from benchmarks.faults.table import Row, find_lost, find_missing, find_removed, own_labels
from benchmarks.pod import CountingKubelet
from simulation.apiserver import ApiServer
from simulation.kubelet.devices import AdmissionError
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from tests.roots.drivers.layout import lay_out_tree

NODE, GPU = "faults", "nvidia.com/gpu"
GPUS, HELD = 8, 4
LABELS = {f"{GPU}.count", "feature.node.kubernetes.io/system-os_release.ID"}
"""The labels that the Node has when the agents have published all of their labels."""
TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.005
DRIVER = ("debian-12", "535.261.03")
"""A captured driver root, and its version."""
MAJOR_GPU, MAJOR_UVM, NODES = 195, 511, {"nvidiactl": 255, "nvidia-modeset": 254}


def render_scenario(faults: list[dict[str, Any]]) -> str:
    board = {
        "model": "NVIDIA H100 80GB HBM3",
        "count": GPUS,
        "memory": "81559Mi",
        "compute": "9.0",
        "device_id": "2330",
    }
    return json.dumps({"driver": {"version": DRIVER[1], "cuda": "12.2"}, "gpus": [board], "faults": faults})


def make_driver(folder: Path) -> Path:
    """Creates a driver root with device nodes. Raises PermissionError without root."""
    root = lay_out_tree(DRIVER[0], folder)
    (root / "dev").mkdir(exist_ok=True)
    numbers = {**{f"nvidia{number}": number for number in range(GPUS)}, **NODES}
    devices = {name: (MAJOR_GPU, minor) for name, minor in numbers.items()} | {"nvidia-uvm": (MAJOR_UVM, 0)}
    for name, (major, minor) in devices.items():
        os.mknod(root / "dev" / name, 0o666 | 0o020000, os.makedev(major, minor))
    return root


def write_kubeconfig(server: ApiServer, folder: Path) -> None:
    """Writes a kubeconfig with a file for the certificate. One without needs space for a temporary file."""
    (folder / "ca.crt").write_text(server.certificate)
    config = server.kubeconfig()
    cluster = config["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["certificate-authority"] = str(folder / "ca.crt")
    (folder / "kubeconfig").write_text(json.dumps(config))


class Site:
    """failed: devices that must be unhealthy. problems: sentences. Pods hold HELD of the GPUS from `begin` on."""

    def __init__(self, folder: Path, server: ApiServer, kubelet: CountingKubelet, scenario: Path) -> None:
        self.folder, self.server, self.kubelet, self.scenario = folder, server, kubelet, scenario
        self.port = free_port()
        self.failed = set[str]()
        self.problems = list[str]()
        self.expected: Mapping[str, str] = {}
        self.held = dict[str, tuple[str, ...]]()
        self.lost_labels = self.lost_allocations = self.allocations = 0
        self.agents: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"
        self._version = 0
        self._since: dict[str, int] = {}

    def start(self, variables: Mapping[str, str] | None = None, *, is_disk_full: bool = False) -> None:
        """Starts `gpunode run`. variables: of altered.py."""
        flags = [
            "--node-name", NODE, "--kubeconfig", str(self.folder / "kubeconfig"), "--simulate", str(self.scenario),
            "--lock-dir", str(self.folder / "run"), "--http-address", f"127.0.0.1:{self.port}", "--cdi-dir", str(self.folder / "cdi"),
            "--kubelet-socket", str(self.kubelet.socket), "--driver-root-ctr-path", str(self.folder / "driver"),
            "--device-list-strategy", "cdi-cri", "--no-timestamp=true", "--sleep-interval=5s", "--log-format=json", "--address=",
        ]  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.faults.altered", "run", *flags]
        with self.log.open("ab") as log:
            self.agents = subprocess.Popen(command, env={**os.environ, **(variables or {})}, stderr=log)
        if is_disk_full:
            self.limit_files(0)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self.agents is not None
        return self.agents

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.agents is not None:
            if self.agents.poll() is None:
                self.agents.send_signal(number)
            self.agents.wait()

    def limit_files(self, size: int) -> None:
        """Limits the size of each file that the agents write. 0 has the effect of a full disk, without a separate file system."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def begin(self, healthy: int) -> None:
        """Starts the agents, remembers the labels, and lets pods hold GPUs. healthy: the number of healthy GPUs then."""
        self.start()
        self.wait(lambda: self.labels.keys() >= LABELS and self.count_healthy() == healthy)
        self.find_failed()
        self.expected = own_labels(self.labels)
        for number in range(HELD):
            self.admit(f"held-{number}")
        self._version = self.server.store.version

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.server.store.get("nodes", NODE)["metadata"]["labels"])

    @property
    def spec(self) -> Path:
        """The CDI file."""
        return next((self.folder / "cdi").glob("*nvidia.com-gpu.json"))

    @property
    def message(self) -> str:
        """The message of the condition GPUReady."""
        conditions = self.server.store.get("nodes", NODE)["status"]["conditions"]
        return next((str(each["message"]) for each in conditions if each["type"] == "GPUReady"), "")

    @property
    def state_file(self) -> Path:
        """The file with the health of the GPUs."""
        return self.folder / "run" / f"gpu-device-plugin.{NODE}.health.json"

    @property
    def registrations(self) -> int:
        return self.kubelet.registered.get(GPU, 0)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:  # nosec B310
            text: str = answer.read().decode()
            return text

    def wait(self, is_true: Callable[[], bool], *, may_end: bool = False) -> bool:
        """Returns False if the agents ended and `may_end`. Raises SystemExit after the timeout, or if the agents ended."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not is_true():
            has_ended = self.process.poll() is not None
            if has_ended and may_end:
                return False
            if has_ended or time.monotonic() > deadline:
                why = (
                    "the agents have ended"
                    if has_ended
                    else f"no recovery in {TIMEOUT_SECONDS:.0f} s: {self.describe()}"
                )
                raise SystemExit(f"{why}\n{self.log.read_text()[-3000:]}")
            time.sleep(POLL_SECONDS)
        return True

    def describe(self) -> str:
        missing = find_missing(self.labels, self.expected)
        return f"{self.registrations} registrations, {self.count_healthy()} healthy devices, missing labels {missing}, {self.message}"

    def count_healthy(self) -> int:
        return sum(self.kubelet.device_health(GPU).values())

    def find_failed(self) -> None:
        """Remembers the devices that are unhealthy because of their hardware."""
        self.failed = {device for device, is_healthy in self.kubelet.device_health(GPU).items() if not is_healthy}

    def is_recovered(self) -> bool:
        """Whether the kubelet has all devices, and the Node has all labels."""
        return self.count_healthy() == GPUS - len(self.failed) and not find_missing(self.labels, self.expected)

    def wait_for_devices(self, after: int = 0) -> None:
        """Waits until the kubelet has the devices of a registration after the one with this number."""
        self.wait(lambda: self.registrations > after and self.count_healthy() == GPUS - len(self.failed))

    def restart_kubelet(self) -> None:
        before = self.registrations
        self.kubelet.restart()
        self.wait_for_devices(before)

    def admit(self, pod: str) -> None:
        """Starts a pod with one GPU. A refusal, or a device without its CDI specification, is a lost allocation."""
        self.allocations += 1
        try:
            grant = self.kubelet.admit(pod, "main", {GPU: 1})
        except AdmissionError as error:
            self.lost_allocations += 1
            self.problems.append(f"a pod was refused: {error}")
            return
        self.held[pod] = grant.device_ids[GPU]
        if missing := [name for name in grant.cdi_devices if name.partition("=")[2] not in self.spec_devices()]:
            self.lost_allocations += 1
            self.problems.append(f"the CDI file does not have {missing}")

    def use(self) -> None:
        """Starts a pod with one GPU, and ends the pod."""
        self.admit("short")
        self.held.pop("short", None)
        self.kubelet.release("short")

    def spec_devices(self) -> set[str]:
        """The names of the devices in the CDI file. Empty if the file is not complete JSON."""
        try:
            return {device["name"] for device in json.loads(self.spec.read_text())["devices"]}
        except (OSError, ValueError, StopIteration):
            return set()

    def check_allocations(self) -> None:
        """Counts allocations whose device is no longer healthy."""
        for pod, device in find_lost(self.held, self.kubelet.device_health(GPU), self.failed):
            self.lost_allocations += 1
            self.problems.append(f"{device} of the pod {pod} is not a healthy device")

    def check_labels(self) -> None:
        """Counts the labels that a write of an agent has removed since the last check."""
        events, self._version = self.server.store.events(("nodes",), self._version, timeout=0)
        for event in events:
            if event.manager and event.before is not None:
                before, after = (each["metadata"]["labels"] for each in (event.before, event.object))
                if removed := find_removed(before, after, self.expected):
                    self.lost_labels += len(removed)
                    self.problems.append(f"{event.manager} has removed the labels {removed}")

    def change_labels(self) -> None:
        """Another client removes a label of each agent and changes one, without a field manager."""

        def change(node: dict[str, Any]) -> dict[str, Any]:
            labels = {**node["metadata"]["labels"], f"{GPU}.machine": "wrong"}
            for name in (f"{GPU}.count", "feature.node.kubernetes.io/kernel-version.major"):
                labels.pop(name, None)
            return {**node, "metadata": {**node["metadata"], "labels": labels}}

        self.server.store.mutate("nodes", NODE, change)

    def touch_spec(self) -> None:
        """Changes the text of the CDI file, so that the plugin must write the file again. The devices in the file do not change."""
        with self.spec.open("a") as file:
            file.write("\n")

    def begin_count(self) -> None:
        self.server.forget_requests()
        self._since = dict(self.kubelet.registered)

    def finish(self, fault: str, count: int, **figures: int) -> Row:
        """Waits for the recovery, and returns the losses."""
        try:
            self.wait(self.is_recovered)
            self.use()
        except SystemExit as error:
            self.problems.append(str(error))
        self.check_labels()
        missing = find_missing(self.labels, self.expected)
        self.lost_labels += len(missing)
        self.check_allocations()
        registrations = self.registrations - self._since.get(GPU, 0)
        shown = {"registrations": registrations, "allocations": self.allocations, "API writes": self.server.writes}
        return Row(
            fault=fault, count=count, labels=self.lost_labels, allocations=self.lost_allocations, figures={**shown, **figures},
            problems=self.problems,
        )  # fmt: skip


@contextmanager
def open_site(*faults: dict[str, Any], healthy: int = GPUS) -> Iterator[Site]:
    """A Node with eight GPUs, whose agents have started. faults: of the scenario. healthy: the number of GPUs that remain healthy."""
    with ExitStack() as exits:
        # in a subfolder, because the agents also watch the parent folder
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="gpunode-faults-"))) / "node"
        folder.mkdir()
        make_driver(folder / "driver")
        scenario = folder / "faults.yaml"
        scenario.write_text(render_scenario(list(faults)))
        server = exits.enter_context(ApiServer())
        server.add_node(NODE, labels={f"{GPU}.present": "true"})
        write_kubeconfig(server, folder)
        kubelet = CountingKubelet(folder / "dp")
        node_agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
        for component in (kubelet, node_agent):
            exits.callback(component.stop)
            component.start()
        site = Site(folder, server, kubelet, scenario)
        exits.callback(site.end)
        site.begin(healthy)
        site.begin_count()
        yield site
