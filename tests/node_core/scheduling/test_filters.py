"""The reasons for which the scheduler rejects a Node. See also test_placement.py of the simulated scheduler."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from node_core.scheduling.filters import (
    CORDONED,
    NOT_READY,
    Cordoned,
    Insufficient,
    Refusal,
    Unmatched,
    Untolerated,
    find_refusals,
    is_tolerated,
    matches_requirement,
    node_taints,
    render_reasons,
)
from node_core.scheduling.objects import Node, Pod, Requirement, Taint, Toleration
from node_core.scheduling.requests import pod_requests

READY = [{"type": "Ready", "status": "True"}]
PREMIUM = Taint(key="premium", value="true", effect="NoSchedule")


def node(*, spec: Any = None, conditions: Any = READY, labels: Any = None, **amounts: str) -> Node:
    status = {"allocatable": {"pods": "10", **amounts}, "conditions": conditions}
    return msgspec.convert(
        {"metadata": {"name": "n", "labels": labels or {}}, "spec": spec or {}, "status": status}, Node
    )


def refusals(spec: Any, on: Node, used: Any = None) -> tuple[Refusal, ...]:
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, Pod)
    return find_refusals(pod, pod_requests(pod), on, used or {})


def in_(key: str, *values: str) -> Requirement:
    return Requirement(key=key, operator="In", values=values)


def test_all_reasons_are_found_and_the_scheduler_names_the_first() -> None:
    full = node(spec={"unschedulable": True, "taints": [msgspec.to_builtins(PREMIUM)]}, cpu="1")
    resources = {"requests": {"cpu": "2"}}
    found = refusals({"nodeSelector": {"a": "b"}, "containers": [{"name": "c", "resources": resources}]}, full)
    assert found == (
        Cordoned(),
        Untolerated(taint=PREMIUM),
        Unmatched(selector=(in_("a", "b"),)),
        Insufficient(resource="cpu", requested=Fraction(2), used=Fraction(0), allocatable=Fraction(1)),
    )
    assert render_reasons(found) == ("node(s) were unschedulable",)
    assert render_reasons(found[1:]) == ("node(s) had untolerated taint {premium: true}",)
    assert render_reasons(()) == ()


def test_the_taint_of_a_cordoned_node_is_not_a_second_reason() -> None:
    cordoned = node(spec={"unschedulable": True, "taints": [msgspec.to_builtins(CORDONED)]})
    assert refusals({}, cordoned) == (Cordoned(),)
    assert refusals({"tolerations": [{"key": CORDONED.key, "operator": "Exists"}]}, cordoned) == ()


def test_a_node_that_is_not_ready_has_one_taint_for_it() -> None:
    assert node_taints(node(conditions=[])) == (NOT_READY,)
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    lost = node(spec={"taints": [unreachable]}, conditions=[{"type": "Ready", "status": "Unknown"}])
    assert [taint.key for taint in node_taints(lost)] == ["node.kubernetes.io/unreachable"]


def test_each_term_of_the_affinity_has_its_requirements_that_do_not_match() -> None:
    terms = [
        {"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["m"]}]},
        {},
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = refusals({"affinity": {"nodeAffinity": required}}, node(labels={"a": "1"}))
    assert found == (Unmatched(terms=((Requirement(key="b", operator="Exists"),), (in_("metadata.name", "m"),), ())),)
    assert refusals({"affinity": {"nodeAffinity": required}}, node(labels={"a": "1", "b": "1"})) == ()


def test_an_affinity_without_terms_matches_no_node() -> None:
    required: Any = {"requiredDuringSchedulingIgnoredDuringExecution": {}}
    assert refusals({"affinity": {"nodeAffinity": required}}, node()) == (Unmatched(terms=((),)),)


def test_resources_that_other_pods_use_are_not_free() -> None:
    spec = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": 3}}}]}
    eight = node(**{"nvidia.com/gpu": "8"})
    assert refusals(spec, eight, {"nvidia.com/gpu": Fraction(5)}) == ()
    (short,) = refusals(spec, eight, {"nvidia.com/gpu": Fraction(6)})
    assert isinstance(short, Insufficient)
    assert [short.free, short.used, short.allocatable] == [2, 6, 8]


def test_a_request_of_zero_is_satisfied_by_a_node_without_the_resource() -> None:
    spec = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "0"}}}]}
    assert refusals(spec, node()) == ()


@pytest.mark.parametrize(
    ("operator", "value", "tolerated"),
    [
        ("Lt", "6", True),
        ("Lt", "5", False),
        ("Gt", "4", True),
        ("Gt", "5", False),
        ("Lt", "6 ", False),
        ("Lt", "", False),
        ("Above", "5", False),
    ],
)
def test_a_toleration_compares_numbers_with_the_value_of_the_taint(operator: str, value: str, tolerated: bool) -> None:
    taint = Taint(key="failure-probability", value="5", effect="NoSchedule")
    toleration = Toleration(key="failure-probability", operator=operator, value=value)
    assert is_tolerated(taint, (toleration,)) is tolerated
    assert not is_tolerated(Taint(key="failure-probability", value="x", effect="NoSchedule"), (toleration,))


@pytest.mark.parametrize("values", [(), ("1", "2"), ("1_0",), ("9" * 30,)])
def test_numbers_that_kubernetes_refuses_never_match(values: tuple[str, ...]) -> None:
    assert not matches_requirement(Requirement(key="k", operator="Lt", values=values), {"k": "0"})


@pytest.mark.parametrize(("labels", "present"), [({"k": "v"}, True), ({"k": ""}, True), ({}, False)])
def test_a_label_without_a_value_exists(labels: dict[str, str], present: bool) -> None:
    assert matches_requirement(Requirement(key="k", operator="Exists"), labels) is present
    assert matches_requirement(Requirement(key="k", operator="DoesNotExist"), labels) is not present
    assert matches_requirement(Requirement(key="k", operator="NotIn", values=("v",)), labels) is (labels != {"k": "v"})
