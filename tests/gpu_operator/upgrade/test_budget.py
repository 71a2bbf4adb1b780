"""How many Nodes upgrade at the same time."""

from typing import Any

import pytest

from gpu_operator.upgrade.budget import parse_limit
from gpu_operator.upgrade.keys import BUSY, STATE, State
from gpu_operator.upgrade.status import upgrade_status
from node_core.errors import KubeError
from tests.gpu_operator.upgrade.fleet import DRIVER, Fleet, node, nodes, set_ready


@pytest.mark.parametrize(
    ("text", "count", "limit"),
    [
        (3, 12, 3),
        (0, 12, 0),
        ("0%", 12, 0),
        ("25%", 12, 3),
        ("25%", 13, 4),
        ("1%", 1, 1),
        ("100%", 7, 7),
        ("25%", 0, 0),
    ],
)
def test_a_percentage_is_rounded_up(text: int | str, count: int, limit: int) -> None:
    assert parse_limit(text, count) == limit


def started(policy: dict[str, Any], *cordoned: str, count: int = 12) -> list[str]:
    """The Nodes that start in the first pass in which Nodes can start."""
    fleet = Fleet(*nodes(count), policy=policy)
    for name in cordoned:
        fleet.nodes[name]["spec"]["unschedulable"] = True
    fleet.release("rev-2")
    fleet.reconcile()
    fleet.reconcile()
    return [name for name, each in fleet.states().items() if each in BUSY]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, 1),
        ({"maxParallelUpgrades": 2}, 2),
        ({"maxParallelUpgrades": 0}, 3),
        ({"maxParallelUpgrades": 0, "maxUnavailable": 5}, 5),
        ({"maxParallelUpgrades": 7, "maxUnavailable": "50%"}, 6),
        ({"maxParallelUpgrades": 7, "maxUnavailable": 0}, 0),
    ],
)
def test_the_smaller_limit_counts(policy: dict[str, Any], expected: int) -> None:
    assert len(started(policy)) == expected


def test_nodes_that_were_unavailable_before_count_and_are_upgraded_first() -> None:
    policy = {"maxParallelUpgrades": 0, "maxUnavailable": 3}
    assert started(policy, "n07", "n08") == ["n00", "n07", "n08"]
    assert started(policy, "n05", "n06", "n07", "n08") == ["n05", "n06", "n07", "n08"]
    assert started({"maxParallelUpgrades": 1}, "n07") == ["n07"]


def test_a_failed_node_is_unavailable_but_not_in_progress() -> None:
    fleet = Fleet(*nodes(4), policy={"maxParallelUpgrades": 1, "maxUnavailable": 2})
    fleet.broken.add("n00")
    fleet.release("rev-2")
    fleet.run(60)
    assert fleet.states() == {"n00": State.FAILED, **dict.fromkeys(["n01", "n02", "n03"], State.DONE)}


def test_failed_nodes_use_up_the_budget() -> None:
    fleet = Fleet(*nodes(4), policy={"maxParallelUpgrades": 1, "maxUnavailable": 2})
    fleet.broken |= {"n00", "n01"}
    fleet.release("rev-2")
    fleet.run(60)
    assert fleet.states() == {
        **dict.fromkeys(["n00", "n01"], State.FAILED),
        **dict.fromkeys(["n02", "n03"], State.REQUIRED),
    }
    waits = upgrade_status(fleet.view(), fleet.now)[DRIVER].pending
    assert {each.reason for each in waits} == {
        "waits for other Nodes: 2 of at most 2 (maxUnavailable 2) are unavailable: n00, n01"
    }


def test_a_node_that_vanishes_frees_its_slot() -> None:
    fleet = Fleet(*nodes(2), policy={"maxUnavailable": 1})
    fleet.release("rev-2")
    fleet.reconcile()
    fleet.reconcile()
    set_ready(fleet.nodes["n00"], ready=False)
    fleet.reconcile()
    fleet.reconcile()
    assert fleet.states()["n01"] == State.REQUIRED
    del fleet.nodes["n00"]
    fleet.settle()
    fleet.run(20)
    assert fleet.states() == {"n01": State.DONE}


@pytest.mark.parametrize("now", [State.DRAIN, State.FAILED])
def test_a_start_that_the_view_does_not_show_counts(now: State) -> None:
    fleet = Fleet(*nodes(4), policy={"maxParallelUpgrades": 0, "maxUnavailable": 1})
    fleet.release("rev-2")
    fleet.reconcile()
    view = fleet.view()
    fleet.nodes["n03"]["metadata"]["labels"][STATE] = now
    fleet.reconcile(view)
    assert set(fleet.states().values()) == {State.REQUIRED, now}


def test_without_the_list_of_started_nodes_none_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise KubeError("forbidden", status=403)

    fleet = Fleet(node("n0"))
    fleet.release("rev-2")
    fleet.reconcile()
    monkeypatch.setattr(fleet, "_list", refuse)
    assert fleet.reconcile().failures == ("cannot start upgrades: forbidden",)
    assert fleet.states() == {"n0": State.REQUIRED}


def test_nothing_is_read_while_nothing_can_start() -> None:
    fleet = Fleet(*nodes(3), policy={"maxUnavailable": 0})
    fleet.release("rev-2")
    fleet.run(5)
    assert fleet.reads == 0
