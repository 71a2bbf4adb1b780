"""The condition and the Events of the Node."""

import pytest

from gpu_validator.check import Name, Report, failed, not_applicable, passed
from gpu_validator.events import validation_event
from gpu_validator.status import REASONS, Reason, Status, describe_status, plan_writes
from node_core.domain.conditions import GPU_VALIDATED, Condition, ObservedCondition
from node_core.domain.node import NodeView
from node_core.values import replace

NODE = NodeView(name="n1", uid="A", resource_version="1", labels={})
VALID = Report(checks=(passed(Name.DRIVER, "a"), not_applicable(Name.CUDA, "b"), passed(Name.KUBELET, "c")))


def condition(report: Report) -> Condition:
    found = describe_status(report).condition
    assert found is not None
    return found


def shown(status: Status) -> NodeView:
    new = status.condition
    assert new is not None
    observed = ObservedCondition(status=new.status, reason=new.reason, message=new.message)
    return replace(NODE, conditions={GPU_VALIDATED: observed})


def test_a_valid_node_is_true_and_lists_the_checks() -> None:
    found = condition(VALID)
    assert (found.status, found.reason) == ("True", "Validated")
    assert found.message == "Passed: driver, kubelet. Not applicable: cuda."


@pytest.mark.parametrize("name", Name)
def test_the_first_failure_is_the_reason(name: Name) -> None:
    report = Report(checks=(failed(name, "it is broken", "repair it"),))
    found = condition(report)
    assert (found.status, found.reason, found.message) == ("False", REASONS[name], "It is broken. Repair it.")


def test_the_message_states_a_simulation() -> None:
    assert condition(replace(VALID, simulated=True)).message.startswith("The GPUs are simulated. ")


def test_nothing_is_written_if_the_node_shows_the_result() -> None:
    status = describe_status(VALID)
    assert [write.condition for write in plan_writes(status, NODE)] == [status.condition]
    assert list(plan_writes(status, shown(status))) == []


def test_a_node_that_lost_its_gpus_loses_the_condition() -> None:
    none = describe_status(Report(has_gpus=False))
    assert list(plan_writes(none, NODE)) == []
    assert [write.condition for write in plan_writes(none, shown(describe_status(VALID)))] == [None]


def test_an_event_warns_of_a_failure() -> None:
    event = validation_event(condition(VALID), 0.0, agent="gpu-validator", node_name="n1")
    assert (event.reason, event.is_warning) == ("GPUValidated", False)
    wrong = condition(Report(checks=(failed(Name.CDI, "a", "b"),)))
    event = validation_event(wrong, 0.0, agent="gpu-validator", node_name="n1")
    assert (event.reason, event.is_warning, event.note) == ("GPUValidationFailed", True, "CDIFailed: A. B.")
    assert wrong.reason == Reason.CDI
