"""The selection of a Node for a Pod."""

from typing import Any

import msgspec
import pytest

from node_core.scheduling.objects import Node, Pod
from node_core.scheduling.requests import used_by_node
from simulation.scheduler.placement import Placement, plan_placement

Obj = dict[str, Any]


def node(
    name: str = "n", *, taints: Any = (), labels: Any = None, ready: str = "True", cordoned: bool = False, **more: str
) -> Node:
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "10"} | {
        key.replace("gpu", "nvidia.com/gpu"): value for key, value in more.items()
    }
    node = {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": list(taints), "unschedulable": cordoned},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": ready}]},
    }
    return msgspec.convert(node, Node)


def pod(*, on: str = "", phase: str = "Pending", spec: Any = None, **requests: str) -> Pod:
    wanted = {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}
    placed = {"nodeName": on} if on else {}
    containers = [{"name": "c", "resources": {"requests": wanted}}]
    pod = {"metadata": {"name": "p"}, "spec": {"containers": containers, **placed, **(spec or {})}}
    return msgspec.convert({**pod, "status": {"phase": phase}}, Pod)


def affinity(*expressions: Obj) -> Obj:
    required = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def place(wanted: Pod, nodes: list[Node], pods: Any = ()) -> Placement:
    return plan_placement(wanted, nodes, used_by_node(pods))


def message(wanted: Pod, *nodes: Node, pods: Any = ()) -> str:
    placement = place(wanted, list(nodes), pods)
    assert placement.node is None
    return placement.message


def test_a_pod_gets_a_suitable_node() -> None:
    assert place(pod(gpu="1"), [node(gpu="1")]).node == "n"


def test_the_least_allocated_node_or_the_first_by_name_is_selected() -> None:
    nodes = [node("b", gpu="4"), node("a", gpu="4"), node("c", gpu="4")]
    assert place(pod(gpu="1"), nodes).node == "a"
    assert place(pod(gpu="1"), nodes, [pod(on="a", gpu="2"), pod(on="b", gpu="1")]).node == "c"


def test_only_pods_that_are_not_finished_use_resources() -> None:
    full = [pod(on="n", gpu="1")]
    assert message(pod(gpu="1"), node(gpu="1"), pods=full) == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    done = [pod(on="n", gpu="1", phase="Succeeded"), pod(on="n", gpu="1", phase="Failed")]
    assert place(pod(gpu="1"), [node(gpu="1")], done).node == "n"


def test_the_message_counts_and_sorts_the_reasons() -> None:
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    nodes = [node("a"), node("b"), node("c", taints=[taint]), node("d", cordoned=True), node("e", labels={"zone": "x"})]
    text = message(pod(gpu="1", cpu="9", spec={"nodeSelector": {"zone": "y"}}), *nodes[2:])
    assert text == (
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint {nvidia.com/gpu: present}, 1 node(s) were unschedulable."
    )
    assert (
        message(pod(gpu="1", cpu="9"), *nodes[:2])
        == "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient nvidia.com/gpu."
    )


def test_the_message_without_nodes() -> None:
    assert message(pod()) == "no nodes available to schedule pods"


def test_a_node_with_its_maximum_of_pods_is_refused() -> None:
    assert message(pod(), node(pods="1"), pods=[pod(on="n")]) == "0/1 nodes are available: 1 Too many pods."


def test_a_node_that_is_not_ready_is_refused() -> None:
    assert message(pod(), node(ready="Unknown")) == (
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."
    )


@pytest.mark.parametrize(
    ("toleration", "placed"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
    ],
    ids=str,
)
def test_a_toleration_matches_a_taint(toleration: Obj, placed: bool) -> None:
    tainted = node(taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    assert bool(place(pod(spec={"tolerations": [toleration]}), [tainted]).node) is placed


def test_a_taint_with_prefer_no_schedule_is_ignored() -> None:
    assert place(pod(), [node(taints=[{"key": "a", "effect": "PreferNoSchedule"}])]).node == "n"


@pytest.mark.parametrize(
    ("operator", "values", "placed"),
    [
        ("In", ["a", "H100"], True),
        ("In", ["a"], False),
        ("NotIn", ["a"], True),
        ("NotIn", ["H100"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["1"], False),
        ("Unknown", ["H100"], False),
    ],
)
def test_required_affinity_compares_names(operator: str, values: list[str], placed: bool) -> None:
    wanted = pod(spec=affinity({"key": "product", "operator": operator, "values": values}))
    assert bool(place(wanted, [node(labels={"product": "H100"})]).node) is placed


@pytest.mark.parametrize(
    ("operator", "value", "placed"),
    [("Gt", "7", True), ("Gt", "8", False), ("Lt", "9", True), ("Lt", "8", False), ("Lt", "x", False)],
)
def test_required_affinity_compares_numbers(operator: str, value: str, placed: bool) -> None:
    wanted = pod(spec=affinity({"key": "count", "operator": operator, "values": [value]}))
    assert bool(place(wanted, [node(labels={"count": "8"})]).node) is placed


def test_an_affinity_term_without_expressions_matches_nothing() -> None:
    assert place(pod(spec=affinity()), [node()]).node is None
