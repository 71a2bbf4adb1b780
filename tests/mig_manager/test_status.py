"""The label, the condition and the Events of the Node."""

import pytest

from mig_manager.events import EVENT_REASONS, status_event
from mig_manager.outcome import Reason
from mig_manager.status import NOT_REQUESTED, ConditionWrite, State, StateWrite, Status, plan_writes
from node_core.domain.conditions import MIG_CONFIGURED, ObservedCondition
from node_core.domain.labels import MIG_CONFIG_STATE
from node_core.domain.node import NodeView
from node_core.values import replace

NODE = NodeView(name="n1", uid="A", resource_version="1", labels={})
APPLIED = Status(config="all-1g.10gb", reason=Reason.APPLIED, message="The GPUs have the layout.")
AGENT = "mig-manager"


def observed(status: Status, node: NodeView = NODE) -> NodeView:
    """The Node after all writes."""
    for write in plan_writes(status, node, AGENT):
        match write:
            case ConditionWrite(condition=new):
                condition = ObservedCondition(status=new.status, reason=new.reason, message=new.message)
                node = replace(node, conditions={MIG_CONFIGURED: condition})
            case StateWrite(labels=labels):
                node = replace(node, labels=labels, owned={AGENT: frozenset(labels)})
    return node


@pytest.mark.parametrize("reason", Reason)
def test_after_the_writes_nothing_is_written(reason: Reason) -> None:
    status = replace(APPLIED, reason=reason)
    assert list(plan_writes(status, observed(status), AGENT)) == []


def test_the_condition_precedes_the_label() -> None:
    kinds = [type(write) for write in plan_writes(APPLIED, NODE, AGENT)]
    assert kinds == [ConditionWrite, StateWrite]
    assert observed(APPLIED).labels == {MIG_CONFIG_STATE: "success"}


def test_a_node_that_never_had_a_config_gets_nothing() -> None:
    assert list(plan_writes(NOT_REQUESTED, NODE, AGENT)) == []


def test_without_a_config_the_label_of_the_agent_is_removed() -> None:
    node = observed(NOT_REQUESTED, observed(APPLIED))
    assert node.labels == {}
    assert node.conditions[MIG_CONFIGURED].reason == "NotRequested"


def test_a_label_that_another_client_has_changed_is_written_again() -> None:
    node = replace(observed(APPLIED), labels={MIG_CONFIG_STATE: "failed"})
    assert [type(write) for write in plan_writes(APPLIED, node, AGENT)] == [StateWrite]


@pytest.mark.parametrize("reason", EVENT_REASONS)
def test_an_event_warns_only_of_failures(reason: Reason) -> None:
    status = replace(APPLIED, reason=reason)
    event = status_event(status, 0.0, agent=AGENT, node_name="n1")
    assert event.is_warning == (status.state is State.FAILED)
    assert event.note == status.message
