"""Requests for the steps: Events, failures, and an API server that does not respond."""

from typing import Any

import pytest

from gpu_operator.upgrade.keys import State
from node_core.errors import KubeError
from tests.gpu_operator.upgrade.fleet import Fleet, Obj, node, nodes


def events(fleet: Fleet) -> list[Obj]:
    return [body for _, path, body in fleet.writes if path.endswith("/events")]


def failing(fleet: Fleet, number: int, status: int) -> None:
    """The write with this number, from now on, fails."""
    begin = len(fleet.writes)

    def fail(write: int) -> None:
        if write == begin + number:
            fleet.before = lambda _: None
            raise KubeError("refused", status=status)

    fleet.before = fail


def test_each_new_state_is_an_event_about_the_node() -> None:
    fleet = Fleet(node("n0"))
    fleet.run(5)
    (event,) = events(fleet)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n0", "uid": "n0"}
    assert (event["type"], event["reason"]) == ("Normal", "GPUDriverUpgrade")
    assert event["message"] == "The driver upgrade of the Node has the state upgrade-done"


def test_a_failure_is_a_warning_with_its_reason() -> None:
    fleet = Fleet(node("n0"))
    fleet.broken.add("n0")
    fleet.release("rev-2")
    fleet.run(20)
    *_, event = events(fleet)
    assert event["type"] == "Warning"
    assert "upgrade-failed: the driver pod is not ready: container driver: ImagePullBackOff" in event["message"]


@pytest.mark.parametrize(("status", "is_reported"), [(403, True), (404, False), (409, False), (500, True)])
def test_a_write_that_fails_concerns_one_node(status: int, is_reported: bool) -> None:
    fleet = Fleet(*nodes(3))
    failing(fleet, 0, status)
    applied = fleet.reconcile()
    assert fleet.states() == {"n00": "", "n01": State.DONE, "n02": State.DONE}
    assert applied.failures == (("Node n00: refused",) if is_reported else ())
    fleet.run(5)
    assert fleet.states()["n00"] == State.DONE


def test_without_a_response_the_other_requests_are_omitted() -> None:
    fleet = Fleet(*nodes(3))
    failing(fleet, 0, 0)
    applied = fleet.reconcile()
    assert (applied.has_response, len(applied.failures)) == (False, 1)
    assert fleet.writes == []


def test_a_failed_event_does_not_fail_its_node() -> None:
    fleet = Fleet(*nodes(2))
    failing(fleet, 1, 500)
    assert fleet.reconcile().failures == ("the Event about Node n00: refused",)
    assert set(fleet.states().values()) == {State.DONE}


def test_a_response_that_is_no_list_starts_no_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(node("n0"))
    fleet.release("rev-2")
    fleet.reconcile()
    answers: list[Any] = [{}, {"items": [3]}, {"items": [{}]}]
    for answer in answers:
        monkeypatch.setattr(fleet, "_list", lambda _, answer=answer: answer)
        fleet.reconcile()
    assert fleet.states() == {"n0": State.REQUIRED}
