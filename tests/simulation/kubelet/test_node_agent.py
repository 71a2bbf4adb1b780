"""The simulated kubelet's work on Pods, with a fake API server."""

import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from device_plugin.allocate.strategies import ResponseOptions, build_strategies
from device_plugin.devices import Device, DeviceId, ResourceOffer
from device_plugin.plugin import ResourcePlugin
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from node_core.values import replace
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent, device_requests
from tests.waiting import until

Obj = dict[str, Any]


class FakeApi:
    """Pods in a dict, and all writes."""

    def __init__(self) -> None:
        self.bound: dict[str, Obj] = {}
        self.node: list[tuple[dict[str, str], dict[str, str]]] = []
        self.events: list[tuple[str, str, str]] = []
        self.copied_for = frozenset[str]()
        self.registrations = 0
        self.has_node = True
        self._changed = threading.Condition()
        self._awake = False

    def add(self, name: str, *limits: Mapping[str, object]) -> None:
        containers = [
            {"name": f"c{index}", "image": "i", "resources": {"limits": dict(limit)}}
            for index, limit in enumerate(limits)
        ]
        metadata = {"uid": f"uid-{name}", "name": name, "namespace": "default"}
        self.bound[name] = {"metadata": metadata, "spec": {"containers": containers}, "status": {"phase": "Pending"}}
        self.wake()

    def remove(self, name: str) -> None:
        del self.bound[name]
        self.wake()

    def status(self, name: str) -> Obj:
        status: Obj = self.bound[name]["status"]
        return status

    def pods(self) -> tuple[Obj, ...]:
        return tuple(self.bound.values())

    def wait(self, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._awake, timeout)
            self._awake = False

    def wake(self) -> None:
        with self._changed:
            self._awake = True
            self._changed.notify_all()

    def patch_node_status(self, capacity: Mapping[str, str], allocatable: Mapping[str, str]) -> bool:
        if self.has_node:
            self.node.append((dict(capacity), dict(allocatable)))
        return self.has_node

    def register_node(self) -> None:
        self.registrations += 1
        self.has_node = True
        self.wake()

    def copy_capacity(self, known: Collection[str]) -> None:
        self.copied_for = frozenset(known)

    def patch_pod_status(self, namespace: str, name: str, status: Obj) -> None:
        if name in self.bound:
            self.bound[name]["status"] |= status
            self.wake()

    def record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        self.events.append((pod["metadata"]["name"], reason, message))


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:  # the path of a Unix socket has at most 107 bytes
        kubelet = Kubelet(Path(path))
        kubelet.start()
        yield kubelet
        kubelet.stop()


@pytest.fixture
def agent(api: FakeApi, kubelet: Kubelet) -> Iterator[NodeAgent]:
    agent = NodeAgent(api, kubelet, "n1")
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture
def plugin(agent: NodeAgent, api: FakeApi, kubelet: Kubelet) -> Iterator[ResourcePlugin]:
    """Two GPUs, after they are in the Node's status."""
    assert agent.grants == {}
    names = [f"GPU-{i}" for i in range(2)]
    devices = tuple(Device(id=DeviceId(name), uuid=name, index=name[4:], gpu=GpuUuid(name)) for name in names)
    plugin = ResourcePlugin(
        GPU,
        ResourceOffer(devices=devices),
        directory=kubelet.directory,
        kubelet_socket=kubelet.socket,
        strategies=build_strategies(ResponseOptions(), lambda: ""),
    )
    plugin.serve()
    plugin.register()
    until(lambda: api.node[-1:] == [({GPU: "2"}, {GPU: "2"})])
    yield plugin
    plugin.stop()


def test_the_devices_of_plugins_are_in_the_status_of_the_node(api: FakeApi, plugin: ResourcePlugin) -> None:
    plugin.update(replace(plugin.offer, devices=plugin.offer.devices[:1]))
    until(lambda: api.node[-1:] == [({GPU: "1"}, {GPU: "1"})])
    plugin.stop(retire=True)
    until(lambda: api.node[-1:] == [({GPU: "0"}, {GPU: "0"})])
    until(lambda: api.copied_for == {GPU})


@pytest.mark.usefixtures("plugin")
def test_a_deleted_node_is_registered_again_with_its_devices(api: FakeApi) -> None:
    api.node.clear()
    api.has_node = False
    api.wake()
    until(lambda: api.node[-1:] == [({GPU: "2"}, {GPU: "2"})])
    assert api.registrations == 1


@pytest.mark.usefixtures("plugin")
def test_a_pod_gets_devices_and_runs(api: FakeApi, agent: NodeAgent) -> None:
    api.add("pod", {GPU: 1, "cpu": "500m"}, {GPU: "1"}, {"memory": "1Gi"})
    until(lambda: api.status("pod")["phase"] == "Running")
    assert [status["ready"] for status in api.status("pod")["containerStatuses"]] == [True] * 3
    granted = {name: dict(grant.env) for name, grant in agent.grants["uid-pod"].items()}
    assert granted == {
        "c0": {"NVIDIA_VISIBLE_DEVICES": "GPU-0"}, "c1": {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}, "c2": {},
    }  # fmt: skip


@pytest.mark.usefixtures("plugin")
def test_a_pod_without_available_devices_fails_with_the_message_of_the_kubelet(api: FakeApi, agent: NodeAgent) -> None:
    api.add("pod", {GPU: 1}, {GPU: 2})
    until(lambda: api.status("pod")["phase"] == "Failed")
    assert api.status("pod")["reason"] == "UnexpectedAdmissionError"
    assert "Requested: 2, Available: 1" in api.status("pod")["message"]
    until(lambda: [event[:2] for event in api.events] == [("pod", "UnexpectedAdmissionError")])
    assert agent.grants == {}
    api.add("other", {GPU: 2})
    until(lambda: api.status("other")["phase"] == "Running")


@pytest.mark.usefixtures("plugin")
def test_the_devices_of_a_deleted_or_finished_pod_are_released(api: FakeApi, agent: NodeAgent) -> None:
    api.add("one", {GPU: 2})
    until(lambda: api.status("one")["phase"] == "Running")
    api.remove("one")
    until(lambda: agent.grants == {})
    api.add("two", {GPU: 2})
    until(lambda: api.status("two")["phase"] == "Running")
    api.patch_pod_status("default", "two", {"phase": "Succeeded"})
    until(lambda: agent.grants == {})
    api.add("three", {GPU: 2})
    until(lambda: api.status("three")["phase"] == "Running")


def test_device_requests_are_integers_of_extended_resources() -> None:
    resources = {"requests": {GPU: "2", "cpu": "1"}, "limits": {GPU: "2", "memory": "1Gi", "a.b/c": "1k"}}
    assert device_requests({"resources": resources}) == {GPU: 2}
    assert device_requests({}) == {}
