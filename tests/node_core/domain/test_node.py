"""Our Node as agents see it, and back-off."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView, parse_node, render_capacity_patch, render_metadata_patch


def managed(manager: str, *keys: str, **entry: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {".": {}} | {f"f:{key}": {} for key in keys}}}
    return {"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields} | entry


def node(**metadata: Any) -> NodeView:
    return parse_node({"metadata": {"name": "n", "uid": "u", "resourceVersion": "7"} | metadata})


def seen(version: str, look: int) -> NodeView:
    return NodeView(name="n", uid="u", resource_version=version, labels={}, look=look)


def test_only_applied_labels_count_as_owned() -> None:
    view = node(
        labels={"a": "1", "b": "2", "c": "3"},
        managedFields=[managed("gfd", "a", "gone"), managed("gfd-other", "b"), managed("gfd", "c", operation="Update")],
    )
    assert view.applied_by("gfd") == {"a": "1"}
    assert view.applied_by("nobody") == {}


def test_the_status_subresource_is_not_ours() -> None:
    assert node(labels={"a": "1"}, managedFields=[managed("gfd", "a", subresource="status")]).applied_by("gfd") == {}


def test_annotations_and_capacity_have_owners_of_their_own() -> None:
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
    assert view.applied_by("m") == {"a": "1"}
    assert view.annotations_by("m") == {"b": "2"}
    assert view.capacity_by("m") == {"example.com/c": "4"}


def test_a_bare_node_has_no_labels() -> None:
    assert node().labels == {}


def test_versions_compare_as_numbers_and_odd_ones_not_at_all() -> None:
    assert node(resourceVersion="9").is_older_than(node(resourceVersion="10"))
    assert not node(resourceVersion="10").is_older_than(node(resourceVersion="9"))
    assert not node(resourceVersion="x").is_older_than(node(resourceVersion="10"))


@pytest.mark.parametrize(
    ("state", "other", "older"),
    [
        (("500", 2), ("1000", 1), False),
        (("1000", 1), ("500", 2), True),
        (("500", 2), ("501", 2), True),
        (("x", 1), ("500", 2), True),
    ],
    ids=["restored cluster", "from before it", "same look", "odd version of an earlier look"],
)
def test_a_later_look_is_newer_whatever_its_version(
    state: tuple[str, int], other: tuple[str, int], older: bool
) -> None:
    assert seen(*state).is_older_than(seen(*other)) is older


def test_an_apply_patch_names_the_node_and_nothing_but_what_is_applied() -> None:
    bare = {"apiVersion": "v1", "kind": "Node"}
    metadata = {"name": "n", "labels": {"a": "1"}}
    assert render_metadata_patch("n", {"a": "1"}, {}) == {**bare, "metadata": metadata}
    assert render_metadata_patch("n", {"a": "1"}, {"b": "2"}) == {
        **bare,
        "metadata": {**metadata, "annotations": {"b": "2"}},
    }
    assert render_capacity_patch("n", {}) == {**bare, "metadata": {"name": "n"}}
    assert render_capacity_patch("n", {"e.com/f": "1"})["status"] == {"capacity": {"e.com/f": "1"}}


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_its_ceiling_and_keeps_half_of_it_as_jitter(failures: int, chance: float) -> None:
    delay = Backoff(first=1, most=60).delay(failures, chance)
    ceiling = min(60, 2 ** min(failures - 1, 10))
    assert ceiling / 2 <= delay <= ceiling
