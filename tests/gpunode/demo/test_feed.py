"""The lines of the live feed, from the events of the simulated API server."""

from collections.abc import Callable
from typing import Any

import pytest

from gpu_core.domain.inventory import Inventory
from gpunode.demo.feed import LONGEST, SHOWN, Devices, Line, clean, describe
from gpunode.demo.gpu_names import GpuNames
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

GPU = "nvidia.com/gpu"
UUID = "GPU-9ad255bf-ee20-515b-8196-2a0f15ec0410"
SHORT = "GPU-9ad255bf"
NODE = Target(resource=resource_named("nodes"), name="n1")
STATUS = Target(resource=resource_named("nodes"), name="n1", subresource="status")
POD = {
    "metadata": {"name": "training"},
    "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {GPU: "2"}}}]},
}

Obj = dict[str, Any]


class Cluster:
    """A store with the Node n1, and the lines since the last call of `lines`."""

    def __init__(self) -> None:
        self.server = ApiServer()
        self.server.add_node("n1")
        self.unhealthy: list[str] = []
        self._version = self.server.store.version

    def change(self, change: Callable[[Obj], Obj], manager: str = "kubectl-edit", target: Target = NODE) -> None:
        self.server.api.update(target, change, Writer(manager=manager))

    def label(self, manager: str, **labels: str | None) -> None:
        self.change(lambda node: _with_labels(node, labels), manager)

    def create(self, plural: str, body: Obj, manager: str) -> None:
        target = Target(resource=resource_named(plural), namespace=body["metadata"].get("namespace", "default"))
        self.server.api.create(target, body, Writer(manager=manager))

    def lines(self) -> list[Line]:
        events, self._version = self.server.store.events(SHOWN, self._version, timeout=0)
        devices = Devices(
            names=GpuNames(Inventory(driver=None), None),
            unhealthy=lambda resource: self.unhealthy if resource == GPU else [],
            allocated=lambda _: [UUID, f"{UUID}::1"],
        )
        return [line for event in events for line in describe(event, devices)]


def _with_labels(node: Obj, labels: dict[str, str | None]) -> Obj:
    merged = {**node["metadata"]["labels"], **labels}
    kept = {name: value for name, value in merged.items() if value is not None}
    return {**node, "metadata": {**node["metadata"], "labels": kept}}


def _with_gpus(node: Obj, capacity: str, allocatable: str) -> Obj:
    status = node["status"]
    amounts = {
        "capacity": {**status["capacity"], GPU: capacity},
        "allocatable": {**status["allocatable"], GPU: allocatable},
    }
    return {**node, "status": {**status, **amounts}}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_each_change_of_a_label_names_its_field_manager(cluster: Cluster) -> None:
    cluster.label("gfd", product="T4")
    cluster.label("kubectl-label", product="wrong")
    cluster.label("kubectl-label", product=None)
    assert cluster.lines() == [
        Line(source="gfd", subject="product", text="T4", kind="+"),
        Line(source="kubectl-label", subject="product", text="T4 -> wrong", kind="~"),
        Line(source="kubectl-label", subject="product", text="wrong", kind="-"),
    ]


def test_many_labels_of_one_write_are_one_line(cluster: Cluster) -> None:
    cluster.label("nfd-lite", **{f"l{number:02}": "x" for number in range(11)}, other="1")
    cluster.label("kubectl-label", **{f"l{number:02}": None for number in range(11)}, other="2")
    assert cluster.lines() == [
        Line(source="nfd-lite", subject="12 labels", text="l00, l01, l02, ...", kind="+"),
        Line(source="kubectl-label", subject="11 labels", text="l00, l01, l02, ...", kind="-"),
        Line(source="kubectl-label", subject="other", text="1 -> 2", kind="~"),
    ]


def test_a_resource_names_the_devices_that_are_not_healthy(cluster: Cluster) -> None:
    cluster.change(lambda node: _with_gpus(node, "8", "8"), "kubelet", STATUS)
    assert cluster.lines() == [Line(source="kubelet", subject=GPU, text="8", kind="+")]
    cluster.unhealthy = [UUID]
    cluster.change(lambda node: _with_gpus(node, "8", "7"), "kubelet", STATUS)
    assert cluster.lines() == [
        Line(source="kubelet", subject=GPU, text=f"8 -> 7 of 8 (not healthy: {SHORT})", kind="~")
    ]


def test_a_condition_shows_its_reason_and_message_but_no_heartbeat(cluster: Cluster) -> None:
    def ready(status: str, message: str, heartbeat: str) -> None:
        condition = {
            "type": "GPUReady", "status": status, "reason": "Because", "message": message,
            "lastHeartbeatTime": heartbeat, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        cluster.change(lambda node: {**node, "status": {**node["status"], "conditions": [condition]}}, "plugin", STATUS)

    ready("True", "all", "2026-01-01T00:00:00Z")
    ready("True", "all", "2026-01-01T00:01:00Z")
    ready("False", f"{UUID} is lost", "2026-01-01T00:01:00Z")
    assert cluster.lines() == [
        Line(source="plugin", subject="condition GPUReady", text="True Because: all", kind="~"),
        Line(source="plugin", subject="condition GPUReady", text=f"True -> False Because: {SHORT} is lost", kind="!"),
    ]


def test_taints_and_cordons_are_shown(cluster: Cluster) -> None:
    taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
    cluster.change(lambda node: {**node, "spec": {"taints": [taint]}}, "kubectl-taint")
    cluster.change(lambda node: {**node, "spec": {"unschedulable": True}}, "kubectl")
    cluster.change(lambda node: {**node, "spec": {}}, "kubectl")
    assert cluster.lines() == [
        Line(source="kubectl-taint", subject="taint", text="a=b:NoSchedule", kind="+"),
        Line(source="kubectl", subject="taint", text="a=b:NoSchedule", kind="-"),
        Line(source="kubectl", subject="Node n1", text="cordoned: gets no new pods", kind="~"),
        Line(source="kubectl", subject="Node n1", text="uncordoned: gets new pods", kind="~"),
    ]


def test_a_deleted_node_is_one_line(cluster: Cluster) -> None:
    cluster.server.api.delete(NODE, writer=Writer(manager="kubectl"))
    cluster.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    cluster.server.add_node("n1")
    assert cluster.lines() == [
        Line(source="kubectl", subject="Node n1", text="deleted", kind="-"),
        Line(source="kubelet", subject="Node n1", text="created", kind="+"),
    ]


def test_the_life_of_a_pod_is_shown_with_its_devices(cluster: Cluster) -> None:
    cluster.create("pods", POD, "kubectl-create")
    pod = Target(resource=resource_named("pods"), namespace="default", name="training", subresource="status")
    cluster.change(lambda obj: {**obj, "status": {"phase": "Running"}}, "kubelet", pod)
    cluster.change(lambda obj: {**obj, "status": {"phase": "Running", "startTime": None}}, "kubelet", pod)
    failed = {"phase": "Failed", "reason": "Why", "message": f"no {UUID}"}
    cluster.change(lambda obj: {**obj, "status": failed}, "kubelet", pod)
    cluster.server.api.delete(pod, writer=Writer(manager="kubectl"))
    assert cluster.lines() == [
        Line(source="kubectl-create", subject="Pod training", text="created with nvidia.com/gpu 2", kind="+"),
        Line(source="kubelet", subject="Pod training", text=f"Running with {SHORT}", kind="~"),
        Line(source="kubelet", subject="Pod training", text=f"Failed: Why: no {SHORT}", kind="!"),
        Line(source="kubectl", subject="Pod training", text="deleted", kind="-"),
    ]


def test_events_are_shown_with_their_component_object_and_count(cluster: Cluster) -> None:
    about = {"kind": "Node", "name": "n1"}
    event = {
        "metadata": {"name": "a"}, "involvedObject": about, "reason": "GPUUnhealthy", "message": f"{UUID} is lost.",
        "type": "Warning", "source": {"component": "gpu-device-plugin"},
    }  # fmt: skip
    cluster.create("events", event, "x")
    cluster.create("namespaces", {"metadata": {"name": "team", "namespace": ""}}, "x")
    pod = {"kind": "Pod", "name": "p", "namespace": "team"}
    more = {"metadata": {"name": "b", "namespace": "team"}, "involvedObject": pod, "type": "Normal", "count": 3}
    cluster.create("events", {**event, **more}, "x")
    assert cluster.lines() == [
        Line(source="gpu-device-plugin", subject="Event GPUUnhealthy", text=f"Node n1: {SHORT} is lost.", kind="!"),
        Line(source="gpu-device-plugin", subject="Event GPUUnhealthy", text=f"Pod team/p: {SHORT} is lost. (3 times)"),
    ]


def test_a_rule_is_shown_when_its_spec_changes(cluster: Cluster) -> None:
    rule: Obj = {"metadata": {"name": "premium"}, "spec": {"rules": []}}
    resource = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
    cluster.server.api.create(Target(resource=resource), rule, Writer(manager="kubectl-create"))
    target = Target(resource=resource, name="premium")
    cluster.change(lambda obj: {**obj, "metadata": {**obj["metadata"], "labels": {"a": "b"}}}, "kubectl-label", target)
    cluster.change(lambda obj: {**obj, "spec": {"rules": [{"name": "r"}]}}, "kubectl-edit", target)
    assert cluster.lines() == [
        Line(source="kubectl-create", subject="NodeFeatureRule premium", text="created", kind="+"),
        Line(source="kubectl-edit", subject="NodeFeatureRule premium", text="changed", kind="~"),
    ]


def test_a_malformed_object_is_a_line_and_not_an_error(cluster: Cluster) -> None:
    cluster.server.store.mutate("nodes", "n1", lambda node: {**node, "status": "down"}, manager="x")
    (line,) = cluster.lines()
    assert (line.source, line.kind) == ("x", "!")
    assert "the object is malformed" in line.text


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202eabc", "\x9b31m"])
def test_characters_that_control_a_terminal_are_replaced(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text)) == len(text)


def test_a_long_text_is_shortened() -> None:
    assert clean("x" * LONGEST) == "x" * LONGEST
    assert clean("x" * (LONGEST + 1)) == "x" * LONGEST + "..."
