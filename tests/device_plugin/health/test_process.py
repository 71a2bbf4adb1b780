"""The whole plugin with its threads and requests, while simulated GPUs fail and recover."""

import contextlib
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from device_plugin.__main__ import parse
from node_core.kube.client import NodeApi
from node_core.runtime.process import ProcessRunner
from simulation.apiserver import ApiServer
from simulation.kubelet.devices import Resource
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from tests.waiting import until

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
        self.allocatable: list[int] = []
        kubelet.subscribe(self._note)
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
        self.running = ProcessRunner(program)
        self.running.start()

    @property
    def healthy(self) -> list[bool]:
        return list(self.kubelet.device_health("nvidia.com/gpu").values())

    def _note(self, resources: Mapping[str, Resource]) -> None:
        found = resources.get("nvidia.com/gpu")
        if found is not None and self.allocatable[-1:] != [found.allocatable]:
            self.allocatable.append(found.allocatable)

    @property
    def reasons(self) -> list[str]:
        """All reasons that the condition has had, the present one last."""
        events, _ = self.server.store.events(["nodes"], 1, timeout=0)
        conditions = [each for event in events for each in event.object.get("status", {}).get("conditions", ())]
        reasons = [each["reason"] for each in conditions if each["type"] == "GPUReady"]
        return [reason for reason, _ in itertools.groupby(reasons)]

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
        agent = NodeAgent(StoreNodeApi(server.api, NODE), kubelet, NODE)
        kubelet.start()
        agent.start()
        made = Place(directory, server, kubelet)
        yield made
        made.running.stop()
        agent.stop()
        kubelet.stop()


def wait_until(true: Callable[[], bool]) -> None:
    until(true)


def test_an_xid_reaches_kubelet_node_and_events_and_the_gpu_recovers(place: Place) -> None:
    place.start("{at: 1, gpu: 2, kind: xid, code: 999}")
    wait_until(lambda: place.allocatable[-2:] == [3, 4])
    wait_until(lambda: "SomeGPUsUnhealthy" in place.reasons and place.reasons[-1] == "GPUsReady")
    wait_until(lambda: place.events == ["GPURecovered", "GPUUnhealthy"])
    metrics = place.running.services.metrics.render()
    assert b'kind="reset",xid="other"} 1.0' in metrics
    assert metrics.count(b'phase="healthy"} 1.0') == 4


def test_the_startup_taint_is_removed_when_the_devices_are_registered(place: Place) -> None:
    place.server.store.mutate("nodes", NODE, lambda node: {**node, "spec": {"taints": [
        {"key": "mine", "effect": "NoSchedule"}, {"key": TAINT.partition(":")[0], "effect": "NoSchedule"},
    ]}})  # fmt: skip
    place.start("{at: 1000, gpu: 0, kind: xid, code: 79}")
    wait_until(lambda: place.healthy == [True] * 4)
    wait_until(lambda: place.taints == ["mine"])


def test_without_a_kubelet_the_condition_is_false_with_the_problem_until_the_kubelet_runs(place: Place) -> None:
    place.kubelet.stop()
    place.start()
    wait_until(lambda: place.reasons == ["NotRegistered"])
    place.kubelet.start()
    wait_until(lambda: place.reasons[-1:] == ["GPUsReady"])
    place.kubelet.stop()
    place.kubelet.start()
    wait_until(lambda: place.kubelet.resources()["nvidia.com/gpu"].allocatable == 4)
    assert {*place.reasons} <= {"NotRegistered", "NotAdvertisedByKubelet", "GPUsReady"}
    assert place.reasons[-1] == "GPUsReady", "a restart of the kubelet changes nothing"


@pytest.mark.exhaustive
def test_an_unloaded_driver_sets_the_condition_and_makes_all_gpus_unhealthy(place: Place) -> None:
    place.start(
        "{at: 1, for: 4, kind: driver_gone}", "{at: 1, for: 4, kind: fails, call: nvmlEventSetWait_v2, result: UNKNOWN}"
    )
    wait_until(lambda: place.allocatable[-2:] == [0, 4])
    wait_until(lambda: "NoDriver" in place.reasons and place.reasons[-1] == "GPUsReady")


@pytest.mark.exhaustive
def test_ten_thousand_xids_in_a_second_are_all_counted_without_more_threads(place: Place) -> None:
    place.start("{at: 2, gpu: 0, kind: xid, code: 13, times: 10000, per_second: 10000}")
    wait_until(lambda: place.healthy == [True] * 4 and place.reasons[-1:] == ["GPUsReady"])
    threads = threading.active_count()
    wait_until(lambda: b'kind="application",xid="13"} 10000.0' in place.running.services.metrics.render())
    assert threading.active_count() <= threads + 2, "a discovery, and a request to the kubelet"
    assert place.healthy == [True] * 4
    assert place.events == ["GPUXid"]
