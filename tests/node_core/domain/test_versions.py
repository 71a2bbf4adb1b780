"""The order of the states of Nodes and NodeFeatures."""

from dataclasses import dataclass

import pytest

from node_core.domain.node import parse_node
from node_core.domain.node_feature import parse_node_feature
from node_core.domain.versions import is_older


@dataclass(frozen=True)
class State:
    resource_version: str
    list_number: int = 1
    uid: str = "u"


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("10", "10", False),
        ("9" * 30, "1" + "0" * 30, True),
        ("x", "10", False),
        ("9", "x", False),
        ("", "10", False),
        ("-9", "10", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, other: str, older: bool) -> None:
    assert is_older(State(version), State(other)) is older


@pytest.mark.parametrize(
    ("state", "other", "older"),
    [
        (State("500", 2), State("1000", 1), False),
        (State("1000", 1), State("500", 2), True),
        (State("500", 2), State("501", 2), True),
        (State("x", 1), State("500", 2), True),
    ],
    ids=["restored cluster", "before the restore", "same list", "invalid version in an earlier list"],
)
def test_a_state_of_a_later_list_is_always_newer(state: State, other: State, older: bool) -> None:
    assert is_older(state, other) is older


def test_nodes_and_node_features_are_compared_by_list_and_version() -> None:
    first, second = ({"metadata": {"name": "n", "uid": "u", "resourceVersion": version}} for version in ("9", "10"))
    assert parse_node(first).is_older_than(parse_node(second))
    assert not parse_node(first, list_number=1).is_older_than(parse_node(second))
    assert parse_node_feature(first).is_older_than(parse_node_feature(second))
    assert not parse_node_feature(first, list_number=1).is_older_than(parse_node_feature(second))
