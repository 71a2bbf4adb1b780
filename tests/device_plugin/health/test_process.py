"""The whole plugin, its threads and requests, while simulated GPUs go wrong and come back."""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_plugin.__main__ import parse
from node_core.kube.client import NodeApi
from node_core.runtime.process import Running
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.kubelet import Kubelet
from tests.node_core.runtime.test_process import until

NODE = "n1"
SCENARIO = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 4, memory: 81559Mi, compute: "9.0", device_id: "2330"}
faults:
"""
CONFIG = "version: v1\nhealth: {holdDown: 1s, xids: {999: reset}}\n"
TAINT = "nvidia.com/gpu-not-ready:NoSchedule"


class Place:
    """A node, its kubelet and its API server."""

    def __init__(self, directory: Path, server: ApiServer, kubelet: Kubelet) -> None:
        self.directory, self.server, self.kubelet = directory, server, kubelet
        server.write_kubeconfig(directory / "kubeconfig")
        self.api = NodeApi(NODE, kubeconfig=str(directory / "kubeconfig"), user_agent="test")

    def start(self, *faults: str) -> None:
        (self.directory / "scenario.yaml").write_text(SCENARIO + "".join(f"  - {fault}\n" for fault in faults))
        (self.directory / "config.yaml").write_text(CONFIG)
        program = parse([
            "--node-name", NODE, "--kubeconfig", str(self.directory / "kubeconfig"),
            "--simulate", str(self.directory / "scenario.yaml"), "--config-file", str(self.directory / "config.yaml"),
            "--lock-dir", str(self.directory), "--http-address", "", "--kubelet-socket", str(self.kubelet.socket),
            "--cdi-dir", str(self.directory / "cdi"), "--startup-taint", TAINT,
        ])  # fmt: skip
        assert program is not None
        self.running = Running(program)
        self.running.start()

    @property
    def healthy(self) -> list[bool]:
        return list(self.kubelet.device_health("nvidia.com/gpu").values())

    @property
    def condition(self) -> str | None:
        conditions = self._node()["status"]["conditions"]
        return next((each["reason"] for each in conditions if each["type"] == "GPUReady"), None)

    @property
    def taints(self) -> list[str]:
        return [each["key"] for each in self._node()["spec"].get("taints") or ()]

    @property
    def events(self) -> list[str]:
        listed = self.api.request("GET", "/api/v1/namespaces/default/events")
        return sorted(event["reason"] for event in listed["items"])

    def _node(self) -> dict[str, Any]:
        return dict(self.api.request("GET", f"/api/v1/nodes/{NODE}"))


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="health-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE, labels={"nvidia.com/gpu.present": "true"})
        kubelet = Kubelet(directory / "dp")
        kubelet.start()
        made = Place(directory, server, kubelet)
        yield made
        made.running.stop()
        kubelet.stop()


def comes(true: Callable[[], bool]) -> None:
    until(true, 20)


def test_an_xid_reaches_kubelet_node_and_events_and_the_gpu_comes_back(place: Place) -> None:
    place.start("{at: 1, gpu: 2, kind: xid, code: 999}")
    comes(lambda: place.healthy == [True] * 4)
    comes(lambda: place.healthy.count(False) == 1)
    comes(lambda: place.condition == "SomeGPUsUnhealthy")
    comes(lambda: place.healthy == [True] * 4)
    comes(lambda: place.condition == "GPUsReady" and place.events == ["GPURecovered", "GPUUnhealthy"])
    metrics = place.running.services.metrics.render()
    assert b'kind="reset",xid="other"} 1.0' in metrics
    assert metrics.count(b'phase="healthy"} 1.0') == 4


def test_the_startup_taint_goes_when_the_kubelet_has_the_devices(place: Place) -> None:
    place.server.store.mutate("nodes", NODE, lambda node: {**node, "spec": {"taints": [
        {"key": "mine", "effect": "NoSchedule"}, {"key": TAINT.partition(":")[0], "effect": "NoSchedule"},
    ]}})  # fmt: skip
    place.start("{at: 1000, gpu: 0, kind: xid, code: 79}")
    comes(lambda: place.healthy == [True] * 4)
    comes(lambda: place.taints == ["mine"])


def test_a_driver_that_goes_is_a_condition_and_no_gpu_of_it_is_given_out(place: Place) -> None:
    place.start(
        "{at: 1, for: 4, kind: driver_gone}", "{at: 1, for: 4, kind: fails, call: nvmlEventSetWait_v2, answer: UNKNOWN}"
    )
    comes(lambda: place.healthy == [True] * 4)
    comes(lambda: place.healthy == [False] * 4)
    comes(lambda: place.condition == "NoDriver")
    comes(lambda: place.condition == "GPUsReady")
    assert place.healthy == [True] * 4


def test_ten_thousand_xids_in_a_second_are_counted_to_the_last_and_cost_no_thread(place: Place) -> None:
    place.start("{at: 2, gpu: 0, kind: xid, code: 13, times: 10000, per_second: 10000}")
    comes(lambda: place.healthy == [True] * 4 and place.condition == "GPUsReady")
    threads = threading.active_count()
    comes(lambda: b'kind="application",xid="13"} 10000.0' in place.running.services.metrics.render())
    assert threading.active_count() <= threads + 2, "a look, and a question to the kubelet"
    assert place.healthy == [True] * 4
    assert place.events == ["GPUXid"]
