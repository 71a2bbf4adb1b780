"""Strategic merge patches."""

from typing import Any

import pytest

from simulation.apiserver.strategic import strategic_patch


def pod(**spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": spec}


def test_containers_merge_by_name_and_new_containers_are_appended() -> None:
    target = pod(containers=[{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}])
    patch = {"spec": {"containers": [{"name": "c", "image": "3"}, {"name": "a", "env": [{"name": "Y", "value": "2"}]}]}}
    merged = strategic_patch(target, patch, "Pod")["spec"]["containers"]
    assert [each["name"] for each in merged] == ["a", "b", "c"]
    assert merged[0] == {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}


def test_a_delete_directive_removes_the_item() -> None:
    target = pod(containers=[{"name": "a"}, {"name": "b"}])
    patch = {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}
    assert strategic_patch(target, patch, "Pod") == pod(containers=[{"name": "b"}])


@pytest.mark.parametrize(
    "directive", [{"$patch": "replace"}, {"$retainKeys": ["a"]}, {"$deleteFromPrimitiveList/a": []}]
)
def test_an_unsupported_directive_is_an_error(directive: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not supported by this simulated API server"):
        strategic_patch(pod(), {"spec": directive}, "Pod")


def test_taints_are_replaced_as_a_whole_and_null_removes_them() -> None:
    target = {"kind": "Node", "spec": {"taints": [{"key": "a"}], "unschedulable": True}}
    patch = {"spec": {"taints": [{"key": "b"}], "unschedulable": None, "$setElementOrder/taints": [{"key": "b"}]}}
    assert strategic_patch(target, patch, "Node") == {"kind": "Node", "spec": {"taints": [{"key": "b"}]}}


def test_conditions_merge_by_type() -> None:
    target = {"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "r"}]}}
    patch = {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Gpu", "status": "True"}]}}
    expected = [{"type": "Ready", "status": "False", "reason": "r"}, {"type": "Gpu", "status": "True"}]
    assert strategic_patch(target, patch, "Node")["status"]["conditions"] == expected


def test_an_item_without_its_merge_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not contain declared merge key: name"):
        strategic_patch(pod(containers=[]), {"spec": {"containers": [{"image": "x"}]}}, "Pod")
