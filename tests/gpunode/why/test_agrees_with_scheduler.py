"""`why` and the simulated scheduler agree for all Pods and Nodes, and the changes that `why` proposes place the Pod."""

from fractions import Fraction
from typing import Any

import msgspec
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from gpunode.why.evaluate import evaluate
from gpunode.why.explain import explain_pod
from gpunode.why.explanation import Solution
from gpunode.why.pod import PodDetails
from gpunode.why.scheduler_words import parse_message
from gpunode.why.subject import Snapshot, Subject
from node_core.scheduling.objects import Node, Pod
from node_core.scheduling.requests import Amounts, pod_requests
from simulation.scheduler.placement import plan_placement

GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
KEYS = ("nvidia.com/gpu.product", "pool", "nvidia.com/gpu.count")
VALUES = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-80GB", "a", "2", "8")
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
taints = st.fixed_dictionaries(
    {"key": st.sampled_from(("a", "b")), "value": st.sampled_from(("", "1", "5")), "effect": st.sampled_from(EFFECTS)}
)
tolerations = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(("a", "b", "node.kubernetes.io/unschedulable")),
        "operator": st.sampled_from(("Exists", "Equal", "Gt", "Lt")),
        "value": st.sampled_from(("", "1", "3")),
        "effect": st.sampled_from(EFFECTS),
    },
)
rarely = st.integers(0, 3).map(lambda each: each == 3)
requirements = st.fixed_dictionaries(
    {
        "key": st.sampled_from(KEYS),
        "operator": st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")),
        "values": st.lists(st.sampled_from(VALUES), max_size=2),
    }
)
terms = st.lists(
    st.fixed_dictionaries({"matchExpressions": st.lists(requirements, max_size=2)}), min_size=1, max_size=2
)
amounts = st.fixed_dictionaries({}, optional={GPU: st.integers(0, 9), MIG: st.integers(0, 4), "cpu": st.integers(0, 9)})

requests = st.dictionaries(st.sampled_from((GPU, MIG, "cpu")), st.integers(0, 3), max_size=2)


@st.composite
def nodes(draw: st.DrawFn) -> tuple[Node, ...]:
    count = draw(st.sampled_from((1, 2, 4, 0)))
    return tuple(msgspec.convert(draw(_node(f"n{number}")), Node) for number in range(count))


def _node(name: str) -> st.SearchStrategy[Any]:
    allocatable = amounts.map(lambda each: {"pods": "3", **{key: str(value) for key, value in each.items()}})
    ready = st.sampled_from(("True", "True", "True", "Unknown")).map(lambda each: [{"type": "Ready", "status": each}])
    return st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries({"name": st.just(name), "labels": labels}),
            "spec": st.fixed_dictionaries({"unschedulable": rarely, "taints": st.lists(taints, max_size=1)}),
            "status": st.fixed_dictionaries({"allocatable": allocatable, "capacity": amounts, "conditions": ready}),
        }
    )


@st.composite
def pods(draw: st.DrawFn) -> PodDetails:
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": draw(terms)}}}
    limits = draw(requests)
    spec = {
        "nodeSelector": draw(labels) if draw(rarely) else {},
        "tolerations": draw(st.lists(tolerations, max_size=2)),
        "affinity": affinity if draw(rarely) else {},
        "containers": [{"name": "c", "resources": {"limits": limits}}],
    }
    return msgspec.convert({"metadata": {"name": "p", "namespace": "d"}, "spec": spec}, PodDetails)


used = st.dictionaries(
    st.sampled_from(("n0", "n1", "n2")),
    amounts.map(lambda each: {"pods": Fraction(2), **{key: Fraction(value) for key, value in each.items()}}),
    max_size=2,
)


@given(pod=pods(), cluster=nodes(), busy=used)
def test_why_can_place_exactly_the_pods_that_the_scheduler_places(
    pod: PodDetails, cluster: tuple[Node, ...], busy: dict[str, Amounts]
) -> None:
    placement = plan_placement(pod, cluster, busy)
    explanation = explain_pod(Subject(pod=pod), Snapshot(nodes=cluster, used=busy))
    event("placed" if placement.node else "refused")
    assert explanation.can_run is (placement.node is not None)
    assert (placement.node in explanation.nodes) is (placement.node is not None)
    refused = sum(len(group.nodes) for group in explanation.groups)
    assert refused + len(explanation.nodes) == len(cluster)
    assert all(reason.message for group in explanation.groups for reason in group.reasons)
    if cluster and placement.node is None:
        assert parse_message(placement.message)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Node, ...]:
    """Idle Nodes with one product and taints."""
    products = draw(st.lists(st.sampled_from(VALUES[:2]), min_size=1, max_size=3))
    status = {"allocatable": {"pods": "3", GPU: "8"}, "conditions": [{"type": "Ready", "status": "True"}]}
    return tuple(
        msgspec.convert(
            {
                "metadata": {"name": f"n{number}", "labels": {KEYS[0]: product}},
                "spec": {"taints": draw(st.lists(taints, max_size=2))},
                "status": status,
            },
            Node,
        )
        for number, product in enumerate(products)
    )


@given(cluster=fleets(), product=st.sampled_from(VALUES), tolerated=st.lists(tolerations, max_size=1))
def test_the_yaml_that_why_proposes_places_the_pod(
    cluster: tuple[Node, ...], product: str, tolerated: list[dict[str, str]]
) -> None:
    spec = {
        "nodeSelector": {KEYS[0]: product},
        "tolerations": tolerated,
        "containers": [{"name": "c", "resources": {"limits": {GPU: 1}}}],
    }
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, PodDetails)
    found = evaluate(pod, pod_requests(pod), Snapshot(nodes=cluster))
    event(f"{len(found.solutions)} solutions")
    assert bool(found.solutions) is not bool(found.fitting)
    for solution in found.solutions:
        assert plan_placement(apply_yaml(pod, solution), cluster, {}).node in solution.nodes


def apply_yaml(pod: PodDetails, solution: Solution) -> Pod:
    """Returns the Pod with the YAML of the steps: tolerations, and entries of the nodeSelector."""
    spec: dict[str, Any] = msgspec.to_builtins(pod)["spec"]
    for step in solution.steps:
        part = yaml.safe_load(step.yaml)
        spec["tolerations"] = [*spec.get("tolerations", []), *part.get("tolerations", [])]
        spec["nodeSelector"] = {**spec["nodeSelector"], **part.get("nodeSelector", {})}
    return msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, Pod)
