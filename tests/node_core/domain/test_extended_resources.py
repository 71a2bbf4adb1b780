"""The plan of extended resources: only owned resources change, and amounts are compared as numbers."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.extended_resources import ResourcePlan, blocked_resources, plan_resources, render_clearing
from node_core.domain.node import NodeView

NAMES = st.sampled_from(["a.com/a", "b.com/b", "c.com/c"])
AMOUNTS = st.dictionaries(NAMES, st.sampled_from(["0", "1", "1k", "1000"]))


def node(capacity: Mapping[str, str], *owned: str) -> NodeView:
    by_manager = {"m": frozenset(owned)}
    return NodeView(name="n", uid="u", resource_version="1", labels={}, capacity=capacity, owned_capacity=by_manager)


def plan(live: NodeView, desired: Mapping[str, str]) -> Mapping[str, str] | None:
    planned = plan_resources(live, desired, "m")
    return None if planned is None else planned.resources


@pytest.mark.parametrize(
    ("live", "desired", "planned"),
    [
        (node({"cpu": "8"}), {"a.com/a": "1"}, {"a.com/a": "1"}),
        (node({"a.com/a": "1"}, "a.com/a"), {"a.com/a": "2"}, {"a.com/a": "2"}),
        (node({"a.com/a": "1"}, "a.com/a"), {}, {}),
        (node({"a.com/a": "1k"}, "a.com/a"), {"a.com/a": "1000"}, None),
        (node({"a.com/a": "1"}), {"a.com/a": "1"}, None),
        (node({"a.com/a": "1"}), {"a.com/a": "2", "b.com/b": "1"}, {"b.com/b": "1"}),
        (node({"a.com/a": "0"}), {"a.com/a": "2"}, {"a.com/a": "2"}),
        (node({"a.com/a": "0"}), {"a.com/a": "0"}, None),
        (node({"a.com/a": "0"}), {}, None),
        (node({}), {}, None),
    ],
    ids=[
        "new",
        "changed",
        "gone",
        "same amount",
        "another's, equal",
        "a resource of another manager and an own resource",
        "zeroed",
        "zero is desired",
        "zero is another's",
        "nothing",
    ],
)
def test_the_resource_plan(live: NodeView, desired: Mapping[str, str], planned: Mapping[str, str] | None) -> None:
    assert plan(live, desired) == planned


def test_a_resource_of_another_writer_with_another_amount_is_blocked() -> None:
    live = node({"a.com/a": "1", "b.com/b": "1k", "c.com/c": "1"}, "c.com/c")
    desired = {"a.com/a": "2", "b.com/b": "1000", "c.com/c": "9"}
    assert blocked_resources(live, desired, "m") == ("a.com/a",)


def test_a_zeroed_resource_is_cleared_only_if_it_is_unchanged() -> None:
    live = node({"a.com/a": "0", "b.com/b": "1"}, "b.com/b")
    planned = plan_resources(live, {"a.com/a": "2"}, "m")
    assert planned == ResourcePlan(resources={"a.com/a": "2"}, cleared={"a.com/a": "0"})
    assert render_clearing(planned.cleared) == [
        {"op": "test", "path": "/status/capacity/a.com~1a", "value": "0"},
        {"op": "remove", "path": "/status/capacity/a.com~1a"},
    ]
    assert blocked_resources(live, {"a.com/a": "2"}, "m") == ()


def test_an_invalid_quantity_differs_from_every_amount() -> None:
    assert plan(node({"a.com/a": "invalid"}, "a.com/a"), {"a.com/a": "1"}) == {"a.com/a": "1"}


@given(AMOUNTS, st.frozensets(NAMES), AMOUNTS)
def test_applying_a_plan_needs_no_second_plan_and_preserves_other_resources(
    capacity: dict[str, str], owned: frozenset[str], desired: dict[str, str]
) -> None:
    live = node(capacity, *(owned & capacity.keys()))
    planned = plan_resources(live, desired, "m")
    if planned is None:
        return
    assert set(planned.cleared.values()) <= {"0"}
    others = {name: amount for name, amount in capacity.items() if name not in owned | planned.cleared.keys()}
    assert not others.keys() & planned.resources.keys()
    after = node({**others, **planned.resources}, *planned.resources)
    assert plan(after, desired) is None
