"""Labels that Nodes do not have."""

from typing import Any

import msgspec
import pytest

from gpunode.why.causes import render_requirement
from gpunode.why.explain import explain_pod
from gpunode.why.explanation import Explanation
from gpunode.why.labels import describe_hopeless, describe_label
from gpunode.why.pod import PodDetails
from gpunode.why.subject import Snapshot, Subject
from node_core.scheduling.objects import Node, Requirement

PRODUCT = "nvidia.com/gpu.product"


def node(name: str, **labels: str) -> Node:
    known = {key.replace("product", PRODUCT): value for key, value in labels.items()}
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"allocatable": {"pods": "9"}, "conditions": conditions}
    return msgspec.convert({"metadata": {"name": name, "labels": known}, "status": status}, Node)


def requirement(operator: str, *values: str, key: str = PRODUCT) -> Requirement:
    return Requirement(key=key, operator=operator, values=values)


def explain(terms: list[Any], *nodes: Node) -> Explanation:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec = {"affinity": {"nodeAffinity": required}}
    pod = msgspec.convert({"metadata": {"name": "p", "namespace": "d"}, "spec": spec}, PodDetails)
    return explain_pod(Subject(pod=pod), Snapshot(nodes=nodes))


def expression(operator: str, *values: str, key: str = PRODUCT) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (requirement("In", "a", key="k"), "k=a"),
        (requirement("In", "a", "b", key="k"), "k in (a, b)"),
        (requirement("NotIn", "a", key="k"), "k!=a"),
        (requirement("NotIn", "a", "b", key="k"), "k notin (a, b)"),
        (requirement("Exists", key="k"), "k"),
        (requirement("DoesNotExist", key="k"), "!k"),
        (requirement("Gt", "1", key="k"), "k>1"),
        (requirement("Lt", "1", key="k"), "k<1"),
    ],
)
def test_a_requirement_is_written_as_a_selector_of_kubectl(one: Requirement, text: str) -> None:
    assert render_requirement(one) == text


@pytest.mark.parametrize(
    ("one", "nodes", "text"),
    [
        (requirement("In", "A"), [node("n", product="B")], f"{PRODUCT} is B, not A"),
        (requirement("In", "A", "C"), [node("n", product="B")], f"{PRODUCT} is B; required: {PRODUCT} in (A, C)"),
        (requirement("In", "A"), [node("n")], f"does not have the label {PRODUCT}=A"),
        (
            requirement("In", "A"),
            [node("n", product="B"), node("m", product="C"), node("o", product="C"), node("p")],
            f"{PRODUCT} is C (2 nodes), B (1 node) or missing, not A",
        ),
        (
            requirement("In", "A"),
            [node(f"n{number}", product=f"B{number}") for number in range(6)],
            f"{PRODUCT} is B0 (1 node), B1 (1 node), B2 (1 node), B3 (1 node) and 2 other values, not A",
        ),
        (requirement("In", "m", key="metadata.name"), [node("n")], "metadata.name is n, not m"),
    ],
    ids=str,
)
def test_what_nodes_have_in_place_of_a_label(one: Requirement, nodes: list[Node], text: str) -> None:
    assert describe_label(one, nodes) == text


@pytest.mark.parametrize(
    ("one", "nodes", "text"),
    [
        (requirement("In", "Tesla-T4"), [node("n", product="Tesla-T4-SHARED")], "The suffix -SHARED means that the GPUs are shared"),
        (requirement("In", "NVIDIA-A30"), [node("n", product="NVIDIA-A30-MIG-1g.6gb")], "The suffix -MIG-<profile> means"),
        (requirement("In", "x"), [node("n", product="Tesla-T4")], "The values of this label are Tesla-T4 (1 node)."),
        (requirement("Gt", "9", key="nvidia.com/gpu.count"), [node("n", product="A")], "No node has a label with this key."),
        (requirement("Exists", key="poool"), [node("n", pool="a")], "Did you mean the label pool?"),
        (requirement("In", "node-1", key="metadata.name"), [node("node-2")], "Did you mean node-2?"),
    ],
)  # fmt: skip
def test_what_is_nearest_to_a_label_that_no_node_has(one: Requirement, nodes: list[Node], text: str) -> None:
    assert text in describe_hopeless(one, nodes)


def test_several_terms_are_one_reason_and_one_of_them_is_changed() -> None:
    terms = [
        expression("In", "A"),
        {"matchExpressions": [*expression("In", "B")["matchExpressions"], {"key": "z", "operator": "Exists"}]},
    ]
    found = explain(terms, node("n", product="AB"))
    (group,) = found.groups
    assert [each.kind for each in group.reasons] == ["AffinityMismatch"]
    assert group.reasons[0].subject == f"{PRODUCT}=A or {PRODUCT}=B and z"
    solution = found.solutions[0]
    assert [step.text for step in solution.steps] == [f"In the node affinity, replace {PRODUCT}=A by {PRODUCT}=AB:"]


@pytest.mark.parametrize(
    ("term", "step"),
    [
        (expression("NotIn", "A"), f"Remove the requirement {PRODUCT}!=A from the node affinity."),
        (expression("Gt", "5", key="count"), "Remove the requirement count>5 from the node affinity."),
        (expression("In", "B", "C"), f"In the node affinity, replace {PRODUCT} in (B, C) by {PRODUCT} in (B, C, A):"),
        (
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["m"]}]},
            "Remove the requirement metadata.name=m from the node affinity.",
        ),
    ],
    ids=str,
)
def test_a_requirement_of_the_affinity_is_changed_or_removed(term: Any, step: str) -> None:
    found = explain([term], node("n", product="A", count="5"))
    assert [[each.text for each in solution.steps] for solution in found.solutions] == [[step]]


def test_an_affinity_that_can_match_no_node_has_no_solution() -> None:
    found = explain([{}], node("n"))
    assert (found.can_run, found.solutions) == (False, ())
    assert found.groups[0].reasons[0].subject == "nothing"
