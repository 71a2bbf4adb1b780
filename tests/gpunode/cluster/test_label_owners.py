"""The writers of labels."""

from typing import Any

from gpunode.cluster.label_owners import group_labels


def entry(manager: str, operation: str, *keys: str, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {f"f:{key}": {} for key in keys}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def node(labels: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "n", "labels": dict.fromkeys(labels, "1"), "managedFields": list(entries)}}


def test_agents_are_first_and_labels_without_a_manager_are_last() -> None:
    grouped = group_labels(
        node("abcd", entry("kubelet", "Update", "b"), entry("gfd", "Apply", "a"), entry("nfd-lite", "Apply", "c"))
    )
    assert list(grouped.items()) == [
        ("nfd-lite", {"c": "1"}),
        ("gfd", {"a": "1"}),
        ("kubelet", {"b": "1"}),
        ("others", {"d": "1"}),
    ]


def test_a_label_that_somebody_applied_does_not_belong_to_those_who_updated_it() -> None:
    grouped = group_labels(node("ab", entry("kubectl", "Update", "a", "b"), entry("gfd", "Apply", "a")))
    assert grouped == {"gfd": {"a": "1"}, "kubectl": {"b": "1"}}


def test_a_manager_with_both_operations_has_one_group() -> None:
    grouped = group_labels(node("ab", entry("gfd", "Update", "b"), entry("gfd", "Apply", "a")))
    assert grouped == {"gfd": {"a": "1", "b": "1"}}


def test_removed_labels_and_writes_of_the_status_are_ignored() -> None:
    grouped = group_labels(node("a", entry("x", "Update", "gone"), entry("y", "Update", "a", subresource="status")))
    assert grouped == {"others": {"a": "1"}}


def test_a_node_without_labels_has_no_groups() -> None:
    assert group_labels({"metadata": {"name": "n"}}) == {}
