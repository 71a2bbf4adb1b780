"""The Node as agents observe it, and their patches."""

from typing import Any

from node_core.domain.node import NodeView, parse_node, render_capacity_patch, render_metadata_patch


def managed(manager: str, *keys: str, **entry: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {".": {}} | {f"f:{key}": {} for key in keys}}}
    return {"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields} | entry


def node(**metadata: Any) -> NodeView:
    return parse_node({"metadata": {"name": "n", "uid": "u", "resourceVersion": "7"} | metadata})


def test_only_applied_labels_are_owned() -> None:
    view = node(
        labels={"a": "1", "b": "2", "c": "3"},
        managedFields=[managed("gfd", "a", "gone"), managed("gfd-other", "b"), managed("gfd", "c", operation="Update")],
    )
    assert view.labels_by("gfd") == {"a": "1"}
    assert view.labels_by("other") == {}


def test_fields_of_the_status_subresource_are_not_owned() -> None:
    assert node(labels={"a": "1"}, managedFields=[managed("gfd", "a", subresource="status")]).labels_by("gfd") == {}


def test_annotations_and_capacity_have_their_own_owners() -> None:
    metadata: Any = {"f:metadata": {"f:labels": {"f:a": {}}, "f:annotations": {"f:b": {}}}}
    status: Any = {"f:status": {"f:capacity": {"f:example.com/c": {}}}}
    entries = [managed("m", fieldsV1=metadata), managed("m", fieldsV1=status, subresource="status")]
    view = parse_node(
        {
            "metadata": {
                "name": "n",
                "labels": {"a": "1"},
                "annotations": {"b": "2", "theirs": "3"},
                "managedFields": entries,
            },
            "status": {"capacity": {"example.com/c": "4", "cpu": "8"}},
        }
    )
    assert view.labels_by("m") == {"a": "1"}
    assert view.annotations_by("m") == {"b": "2"}
    assert view.capacity_by("m") == {"example.com/c": "4"}


def test_a_node_without_optional_fields_has_no_labels() -> None:
    assert node().labels == {}


def test_a_metadata_patch_contains_only_the_node_name_and_the_applied_fields() -> None:
    bare = {"apiVersion": "v1", "kind": "Node"}
    metadata = {"name": "n", "labels": {"a": "1"}}
    assert render_metadata_patch("n", {"a": "1"}, {}) == {**bare, "metadata": metadata}
    assert render_metadata_patch("n", {"a": "1"}, {"b": "2"}) == {
        **bare,
        "metadata": {**metadata, "annotations": {"b": "2"}},
    }
    assert render_capacity_patch("n", {}) == {**bare, "metadata": {"name": "n"}}
    assert render_capacity_patch("n", {"e.com/f": "1"})["status"] == {"capacity": {"e.com/f": "1"}}
