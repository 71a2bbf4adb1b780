"""The validation, the decoding and the defaults of the simulated API server."""

from typing import Any

import pytest

from simulation.apiserver.decoding import decode_problem
from simulation.apiserver.defaults import with_defaults
from simulation.apiserver.resources import resource_named
from simulation.apiserver.status import ApiError
from simulation.apiserver.validation import check_body, check_object

NODES, PODS = resource_named("nodes"), resource_named("pods")


def node(**parts: Any) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": "n"}, **parts}


def pod(**resources: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def causes(resource: Any, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(ApiError) as refused:
        check_object(resource, obj, old)
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")
    return [(cause["field"], cause["reason"]) for cause in refused.value.details["causes"]]


def test_a_valid_node_and_a_valid_pod_are_accepted() -> None:
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    check_object(
        NODES,
        node(spec={"taints": [taint, {**taint, "effect": "NoExecute"}]}, status={"capacity": {"nvidia.com/gpu": "8"}}),
        None,
    )
    check_object(PODS, pod(limits={"nvidia.com/gpu": "1"}, requests={"nvidia.com/gpu": "1"}), None)


@pytest.mark.parametrize(
    ("parts", "field", "reason"),
    [
        ({"metadata": {"name": "Bad_Name"}}, "metadata.name", "FieldValueInvalid"),
        ({"metadata": {"name": "n", "labels": {"a b": "x"}}}, "metadata.labels", "FieldValueInvalid"),
        ({"metadata": {"name": "n", "labels": {"a": "x" * 64}}}, "metadata.labels", "FieldValueInvalid"),
        ({"metadata": {"name": "n", "annotations": {"/": "x"}}}, "metadata.annotations", "FieldValueInvalid"),
        ({"spec": {"taints": [{"key": "a b", "effect": "NoSchedule"}]}}, "spec.taints[0].key", "FieldValueInvalid"),
        ({"spec": {"taints": [{"key": "a", "effect": "Never"}]}}, "spec.taints[0].effect", "FieldValueNotSupported"),
        ({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2}}, "spec.taints[1]", "FieldValueDuplicate"),
        ({"status": {"capacity": {"nvidia.com/gpu": "500m"}}}, "status.capacity.nvidia.com/gpu", "FieldValueInvalid"),
        ({"status": {"allocatable": {"cpu": "-1"}}}, "status.allocatable.cpu", "FieldValueInvalid"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_node_that_is_not_valid_is_refused_with_the_field(parts: dict[str, Any], field: str, reason: str) -> None:
    assert causes(NODES, node(**parts)) == [(field, reason)]


def test_all_problems_are_reported_at_once() -> None:
    assert len(causes(NODES, node(metadata={"name": "n", "labels": {"a b": "x", "c": "y z"}}))) == 2


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"requests": {"nvidia.com/gpu": "1"}}, "spec.containers[0].resources.limits"),
        (
            {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "2"}},
            "spec.containers[0].resources.requests",
        ),
        ({"limits": {"nvidia.com/gpu": "0.5"}}, "spec.containers[0].resources.limits.nvidia.com/gpu"),
        ({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}, "spec.containers[0].resources.requests"),
    ],
    ids=str,
)
def test_resources_that_are_not_valid_are_refused(resources: dict[str, Any], field: str) -> None:
    assert [found for found, _ in causes(PODS, pod(**resources))] == [field]


def test_a_pod_needs_containers_and_cannot_change_them() -> None:
    assert causes(PODS, {"metadata": {"name": "p"}, "spec": {}}) == [("spec.containers", "FieldValueRequired")]
    assert causes(PODS, pod(limits={"cpu": "2"}), pod(limits={"cpu": "1"})) == [("spec", "FieldValueForbidden")]


def test_a_bound_pod_cannot_move_to_another_node() -> None:
    bound, moved = pod(), pod()
    bound["spec"]["nodeName"], moved["spec"]["nodeName"] = "a", "b"
    check_object(PODS, bound, pod())
    assert causes(PODS, moved, bound) == [("spec", "FieldValueForbidden")]


@pytest.mark.parametrize(
    "obj",
    [
        node(metadata={"labels": {"a": 1}}),
        node(metadata={"annotations": ["a"]}),
        node(spec=[]),
        node(spec={"taints": {"key": "a"}}),
        node(spec={"taints": ["a"]}),
        node(status={"capacity": {"cpu": "many"}}),
        pod(limits={"cpu": "1x"}),
        {"kind": "NodeFeature", "spec": "x"},
        {"kind": "Pod", "spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}}},
    ],
    ids=lambda obj: str(obj)[:60],
)
def test_a_field_of_a_wrong_type_is_reported(obj: dict[str, Any]) -> None:
    assert decode_problem(obj["kind"], obj) is not None


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"kind": "Pod"},
        {"apiVersion": "v2"},
        {"metadata": {"name": "other"}},
        {"metadata": {"namespace": "x"}},
        {"metadata": 3},
    ],
    ids=str,
)
def test_a_body_that_does_not_match_its_path_is_refused(body: Any) -> None:
    with pytest.raises(ApiError) as refused:
        check_body(NODES, body, name="n", namespace="")
    assert refused.value.status == 400


def test_a_pod_gets_the_defaults_that_the_scheduler_and_kubectl_need() -> None:
    filled = with_defaults(pod(limits={"nvidia.com/gpu": 1}))
    assert filled["spec"]["schedulerName"] == "default-scheduler"
    assert filled["spec"]["containers"][0]["resources"]["requests"] == {"nvidia.com/gpu": "1"}
    assert filled["status"] == {"phase": "Pending"}
    assert with_defaults(filled) == filled


@pytest.mark.parametrize(
    ("namespace", "about", "accepted"),
    [("default", None, True), ("a", "a", True), ("a", None, False), ("default", "a", False)],
)
def test_an_event_is_in_the_namespace_of_its_object_or_in_default(
    namespace: str, about: str | None, accepted: bool
) -> None:
    involved = {"name": "x"} | ({"namespace": about} if about else {})
    event = {"kind": "Event", "metadata": {"name": "e", "namespace": namespace}, "involvedObject": involved}
    if accepted:
        check_object(resource_named("events"), event, None)
    else:
        assert causes(resource_named("events"), event) == [("involvedObject.namespace", "FieldValueInvalid")]
