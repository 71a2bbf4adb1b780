"""Passes, writes and errors of the controller of groups."""

from collections.abc import Mapping
from typing import Any

import pytest

from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.feature_groups.agent import PASS, RETRY, ClusterState, GroupsController
from gpu_operator.feature_groups.groups import GroupEvaluation
from gpu_operator.feature_groups.values import ValuePool
from gpu_operator.feature_groups.views import GroupView, parse_status
from node_core.domain.events import Event
from node_core.errors import KubeError
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import InputsChanged, Wake
from node_core.runtime.services import Services
from node_core.values import replace
from tests.gpu_operator.feature_groups.objects import KERNEL, NAMESPACE, group, nodes, rule, term, view

NEW_KERNEL = rule(matchFeatures=[term("kernel.version", major=("Gt", "5"))])
BROKEN = rule("broken", matchFeatures=[{"feature": "kernel.version", "matchExpressions": {"major": {"op": "GT"}}}])


class Stage:
    """A cluster with settable groups, whose API records the writes. error: raised by writes of the groups in `failing`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pool = ValuePool()
        self.names = ["a", "b"]
        self.groups: dict[str, GroupView] = {}
        self.writes: list[tuple[str, tuple[str, ...]]] = []
        self.failing: dict[str, KubeError] = {}
        self.retains_conditions = True
        self.is_known = self.is_leader = True
        self.events: list[Event] = []
        self.services = Services(clock=lambda: self.now, wall=lambda: 0.0, chance=lambda: 0.0)
        self.timers = Timers(self.services.clock)
        self.controller = GroupsController(
            self.services,
            self.timers,
            api=self,
            namespace=NAMESPACE,
            read_state=self._read,
            is_leader=lambda: self.is_leader,
            record=self.events.append,
        )
        self.controller.start()

    def add(self, *rules: Any, name: str = "g", **more: Any) -> None:
        self.groups[f"{NAMESPACE}/{name}"] = replace(group(*rules, name=name, **more), resource_version="1")

    def write_status(self, of: GroupView, patch: Mapping[str, Any]) -> GroupView:
        if (error := self.failing.get(of.name)) is not None:
            raise error
        status = dict(patch["status"])
        if not self.retains_conditions:
            del status["conditions"]
        self.writes.append((of.name, tuple(each["name"] for each in status["nodes"])))
        return replace(of, status=parse_status(status), resource_version=f"{of.resource_version}+")

    def _read(self) -> ClusterState | None:
        if not self.is_known:
            return None
        features = {f"{NAMESPACE}/{name}": view(name, KERNEL, self.pool) for name in self.names}
        return ClusterState(nodes=nodes(*self.names), features=features, groups=dict(self.groups))

    def run(self) -> None:
        """Changes something, and lets the timers expire."""
        self.controller.handle(InputsChanged())
        self.now += 100
        for name in self.timers.pop_due():
            self.controller.timer(name)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_the_nodes_of_a_group_are_written_once(stage: Stage) -> None:
    stage.add(NEW_KERNEL)
    stage.run()
    stage.run()
    assert stage.writes == [("g", ("a", "b"))]


def test_a_node_that_leaves_is_written_also_before_the_informer_has_the_last_write(stage: Stage) -> None:
    stage.add(NEW_KERNEL)
    stage.run()
    stage.names = ["a"]
    stage.run()
    stage.run()
    assert stage.writes == [("g", ("a", "b")), ("g", ("a",))]


def test_a_status_that_another_client_changes_is_restored(stage: Stage) -> None:
    stage.add(NEW_KERNEL)
    stage.run()
    key = f"{NAMESPACE}/g"
    stage.groups[key] = replace(
        stage.groups[key], resource_version="9", status=parse_status({"nodes": [{"name": "x"}]})
    )
    stage.run()
    assert stage.writes[1:] == [("g", ("a", "b"))]


def test_a_crd_without_conditions_causes_no_further_writes(stage: Stage) -> None:
    stage.retains_conditions = False
    stage.add(NEW_KERNEL)
    stage.run()
    stage.run()
    assert stage.writes == [("g", ("a", "b"))]


def test_a_broken_group_affects_no_other_group_and_has_an_event(stage: Stage) -> None:
    stage.add(BROKEN, name="x")
    stage.add(NEW_KERNEL, name="y")
    stage.run()
    assert stage.writes == [("x", ()), ("y", ("a", "b"))]
    assert [(event.about.name, event.reason) for event in stage.events] == [("x", "RuleFailed")]
    assert "did you mean Gt" in stage.events[0].note


def test_a_group_that_is_repaired_is_complete(stage: Stage) -> None:
    stage.add(BROKEN)
    stage.run()
    stage.add(NEW_KERNEL, generation=2)
    stage.run()
    assert stage.writes[-1] == ("g", ("a", "b"))


def test_a_failed_write_is_repeated_later_and_delays_no_other_group(stage: Stage) -> None:
    stage.failing["x"] = KubeError("PATCH: HTTP 500", status=500)
    stage.add(NEW_KERNEL, name="x")
    stage.add(NEW_KERNEL, name="y")
    stage.run()
    assert stage.writes == [("y", ("a", "b"))]
    assert stage.timers.is_set(RETRY)
    assert any(stage.services.readiness.problems().values())
    stage.failing.clear()
    stage.now += 100
    for name in stage.timers.pop_due():
        stage.controller.timer(name)
    assert stage.writes[1:] == [("x", ("a", "b"))]
    assert not any(stage.services.readiness.problems().values())


@pytest.mark.parametrize("error", [KubeError("gone", status=404), NotLeaderError("another controller leads")])
def test_a_deleted_group_and_a_lost_lead_are_no_errors(stage: Stage, error: KubeError) -> None:
    stage.failing["g"] = error
    stage.add(NEW_KERNEL)
    stage.run()
    assert not stage.timers.is_set(RETRY)


def test_a_controller_that_has_lost_the_lead_reports_no_error(stage: Stage) -> None:
    stage.failing["g"] = KubeError("HTTP 500", status=500)
    stage.add(NEW_KERNEL)
    stage.run()
    assert any(stage.services.readiness.problems().values())
    stage.is_leader = False
    stage.run()
    assert not any(stage.services.readiness.problems().values())


def test_a_fault_of_the_evaluation_ends_only_this_group(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.add(NEW_KERNEL, name="x")
    stage.add(NEW_KERNEL, name="y")
    update, calls = GroupEvaluation.update, iter((True, False, True))

    def fail_once(*arguments: Any) -> bool:
        if next(calls):
            raise RecursionError("too deep")
        return update(*arguments)

    monkeypatch.setattr(GroupEvaluation, "update", fail_once)
    stage.run()
    assert stage.writes == [("x", ()), ("y", ("a", "b"))]
    assert [(event.about.name, event.reason) for event in stage.events] == [("x", "EvaluationStopped")]


@pytest.mark.parametrize("lacks", ["is_known", "is_leader"])
def test_nothing_is_written_without_a_complete_state_or_the_lead(stage: Stage, lacks: str) -> None:
    setattr(stage, lacks, False)
    stage.add(NEW_KERNEL)
    stage.run()
    assert stage.writes == []


def test_changes_cause_one_pass_and_other_messages_none(stage: Stage) -> None:
    stage.run()
    stage.controller.handle(Wake())
    assert not stage.timers.is_set(PASS)
    stage.controller.handle(InputsChanged())
    due = stage.timers.next_due()
    stage.now += 0.5
    stage.controller.handle(InputsChanged())
    assert stage.timers.next_due() == due
