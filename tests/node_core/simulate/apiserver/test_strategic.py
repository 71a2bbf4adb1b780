from typing import Any

import pytest

from node_core.simulate.apiserver.strategic import strategic_patch


def pod(**spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": spec}


def test_containers_merge_by_name_and_new_ones_come_last() -> None:
    target = pod(containers=[{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}])
    patch = {"spec": {"containers": [{"name": "c", "image": "3"}, {"name": "a", "env": [{"name": "Y", "value": "2"}]}]}}
    merged = strategic_patch(target, patch, "Pod")["spec"]["containers"]
    assert [each["name"] for each in merged] == ["a", "b", "c"]
    assert merged[0] == {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}


def test_a_delete_directive_removes_the_item() -> None:
    target = pod(containers=[{"name": "a"}, {"name": "b"}])
    patch = {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}
    assert strategic_patch(target, patch, "Pod") == pod(containers=[{"name": "b"}])


def test_a_replace_directive_replaces_the_list_or_map() -> None:
    target = pod(containers=[{"name": "a"}], securityContext={"x": 1})
    patch = {
        "spec": {"containers": [{"$patch": "replace"}, {"name": "z"}], "securityContext": {"$patch": "replace", "y": 2}}
    }
    assert strategic_patch(target, patch, "Pod") == pod(containers=[{"name": "z"}], securityContext={"y": 2})


def test_taints_are_replaced_whole_and_null_removes() -> None:
    target = {"kind": "Node", "spec": {"taints": [{"key": "a"}], "unschedulable": True}}
    patch = {"spec": {"taints": [{"key": "b"}], "unschedulable": None, "$setElementOrder/taints": [{"key": "b"}]}}
    assert strategic_patch(target, patch, "Node") == {"kind": "Node", "spec": {"taints": [{"key": "b"}]}}


def test_conditions_merge_by_type() -> None:
    target = {"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "r"}]}}
    patch = {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Gpu", "status": "True"}]}}
    expected = [{"type": "Ready", "status": "False", "reason": "r"}, {"type": "Gpu", "status": "True"}]
    assert strategic_patch(target, patch, "Node")["status"]["conditions"] == expected


def test_finalizers_are_added_and_removed_one_by_one() -> None:
    target = {"kind": "Node", "metadata": {"finalizers": ["a", "b"]}}
    added = strategic_patch(target, {"metadata": {"finalizers": ["b", "c"]}}, "Node")
    assert added["metadata"]["finalizers"] == ["a", "b", "c"]
    removed = strategic_patch(added, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}}, "Node")
    assert removed["metadata"]["finalizers"] == ["a", "c"]


def test_retained_keys_drop_the_others() -> None:
    target = pod(strategy={"type": "A", "more": 1})
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "B"}}}
    assert strategic_patch(target, patch, "Pod") == pod(strategy={"type": "B"})


def test_an_item_without_its_merge_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not contain declared merge key: name"):
        strategic_patch(pod(containers=[]), {"spec": {"containers": [{"image": "x"}]}}, "Pod")
