"""Pods that have a Node. test_reasons.py has the texts of the common reasons."""

from typing import Any

import msgspec
import pytest

from gpunode.why.explanation import State
from gpunode.why.pod import PodDetails
from gpunode.why.status import ADVICE, Diagnosis, diagnose, list_occurrences
from node_core.scheduling.objects import Event, Node

POD = msgspec.convert({"metadata": {"name": "p", "namespace": "d"}}, PodDetails)


def found(status: Any, *, node: Node | None = None, events: tuple[Event, ...] = ()) -> Diagnosis:
    pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "n"}, "status": status}
    return diagnose(msgspec.convert(pod, PodDetails), node, events)


def container(state: Any, **more: Any) -> Any:
    return {"phase": "Pending", "containerStatuses": [{"name": "main", "state": state, **more}]}


def warning(reason: str, last: str = "1", **more: Any) -> Event:
    return Event(type="Warning", reason=reason, message=f"about {reason}", last_timestamp=last, **more)


@pytest.mark.parametrize("reason", ADVICE)
def test_each_reason_of_a_container_has_advice(reason: str) -> None:
    diagnosis = found(container({"waiting": {"reason": reason, "message": "m"}}))
    assert (diagnosis.state, diagnosis.findings) == (State.FAILING, (f"Container main: {reason}: m.",))
    (advice,) = diagnosis.advice(POD)
    assert "{" not in advice


def test_an_init_container_that_fails_is_named() -> None:
    ended = {"name": "setup", "state": {"terminated": {"reason": "Error", "exitCode": 3}}}
    diagnosis = found({"phase": "Pending", "initContainerStatuses": [ended]})
    assert diagnosis.findings == ("Container setup: Error with exit status 3.",)


def test_a_container_that_has_completed_is_not_a_problem() -> None:
    completed = container({"terminated": {"reason": "Completed", "exitCode": 0}}) | {"phase": "Running"}
    assert found(completed).state is State.RUNNING


@pytest.mark.parametrize("resource", ["cpu", "nvidia.com/gpu"])
def test_a_pod_that_the_kubelet_refuses_for_a_resource(resource: str) -> None:
    diagnosis = found({"phase": "Failed", "reason": f"OutOf{resource}", "message": "Pod was rejected"})
    assert diagnosis.state is State.FAILED
    assert diagnosis.advice(POD) == (
        f"Another pod got the {resource} first. Delete the pod; its controller creates a new one.",
    )


def test_warnings_of_the_scheduler_do_not_concern_a_placed_pod() -> None:
    creating = container({"waiting": {"reason": "ContainerCreating"}})
    assert found(creating, events=(warning("FailedScheduling"),)).state is State.STARTING
    diagnosis = found(creating, events=(warning("FailedCreatePodSandBox"), warning("FailedScheduling")))
    assert (diagnosis.state, diagnosis.findings) == (
        State.FAILING,
        ("FailedCreatePodSandBox: about FailedCreatePodSandBox",),
    )


def test_only_the_newest_warning_of_each_reason_is_listed() -> None:
    events = (warning("A", "3", count=5), warning("B", "2"), warning("A", "1"), Event(type="Normal", reason="C"))
    assert [(each.reason, each.times, each.last_seen) for each in list_occurrences(events)] == [
        ("A", 5, "3"),
        ("B", 1, "2"),
    ]
