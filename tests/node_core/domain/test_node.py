"""Our Node as agents see it, and back-off."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView, parse_node, render_label_patch


def managed(manager: str, *keys: str, **entry: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {".": {}} | {f"f:{key}": {} for key in keys}}}
    return {"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields} | entry


def node(**metadata: Any) -> NodeView:
    return parse_node({"metadata": {"name": "n", "uid": "u", "resourceVersion": "7"} | metadata})


def test_only_applied_labels_count_as_owned() -> None:
    view = node(
        labels={"a": "1", "b": "2", "c": "3"},
        managedFields=[managed("gfd", "a", "gone"), managed("gfd-other", "b"), managed("gfd", "c", operation="Update")],
    )
    assert view.applied_by("gfd") == {"a": "1"}
    assert view.applied_by("nobody") == {}


def test_the_status_subresource_is_not_ours() -> None:
    assert node(labels={"a": "1"}, managedFields=[managed("gfd", "a", subresource="status")]).applied_by("gfd") == {}


def test_a_bare_node_has_no_labels() -> None:
    assert node().labels == {}


def test_versions_compare_as_numbers_and_odd_ones_not_at_all() -> None:
    assert node(resourceVersion="9").is_older_than(node(resourceVersion="10"))
    assert not node(resourceVersion="10").is_older_than(node(resourceVersion="9"))
    assert not node(resourceVersion="x").is_older_than(node(resourceVersion="10"))


def test_an_apply_patch_names_the_node_and_nothing_but_labels() -> None:
    assert render_label_patch("n", {"a": "1"}) == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"a": "1"}},
    }


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_its_ceiling_and_keeps_half_of_it_as_jitter(failures: int, chance: float) -> None:
    delay = Backoff(first=1, most=60).delay(failures, chance)
    ceiling = min(60, 2 ** min(failures - 1, 10))
    assert ceiling / 2 <= delay <= ceiling
