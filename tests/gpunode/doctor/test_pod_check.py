"""What the status of a pod states about the agent in the pod."""

from typing import Any

import msgspec
import pytest

from gpunode.doctor.check import Check
from gpunode.doctor.objects import ProgramPod
from gpunode.doctor.pod_check import check_pod
from node_core.scheduling.objects import Metadata
from tests.gpunode.recorded import NOON

RUNNING = {"running": {"startedAt": "2026-03-01T08:00:00Z"}}
CREATED = "2026-03-01T08:00:00Z"
JUST_NOW = "2026-03-01T11:58:00Z"


def check(
    *, created: str = CREATED, conditions: tuple[dict[str, str], ...] = (), deleted: str = "", **status: Any
) -> Check:
    container = {"name": "gfd", "ready": True, "restartCount": 0, "state": RUNNING, **status}
    pod = {
        "metadata": {
            "namespace": "gpunode",
            "name": "gfd-x",
            "creationTimestamp": created,
            "deletionTimestamp": deleted,
        },
        "status": {"conditions": list(conditions), "containerStatuses": [container]},
    }
    return check_pod(msgspec.convert(pod, ProgramPod), "gfd", NOON.timestamp())


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(
    reason: str, code: int, *, at: str = "2026-03-01T11:55:00Z", message: str = "", signal: int = 0
) -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "finishedAt": at, "message": message, "signal": signal}}


def test_a_ready_pod_is_ok() -> None:
    assert check() == Check(name="agent", status="ok", sentence="gfd in the pod gpunode/gfd-x is ready")


def test_a_restart_long_ago_is_no_problem() -> None:
    found = check(restartCount=2, lastState=ended("Error", 1, at="2026-03-01T10:00:00Z"))
    assert (found.status, found.sentence) == ("ok", "gfd in the pod gpunode/gfd-x is ready, and was restarted 2 times")


def test_a_recent_restart_is_a_problem_with_the_end_of_the_log() -> None:
    found = check(restartCount=1, lastState=ended("Error", 1, message="Traceback:\n  boom"))
    assert (found.status, found.reason) == ("problem", "Error")
    assert found.sentence == (
        "gfd in the pod gpunode/gfd-x was restarted once, last 5 min ago: Error (exit status 1): Traceback: boom"
    )
    assert found.todo == "kubectl -n gpunode logs gfd-x --previous: the last lines state why the agent ended"


@pytest.mark.parametrize(
    ("state", "last", "reason", "sentence", "todo"),
    [
        (waiting("ImagePullBackOff", "not found"), {}, "ImagePullBackOff", "ImagePullBackOff: not found", "image.repository"),
        (waiting("CrashLoopBackOff", "back-off 5m"), ended("OOMKilled", 137), "OOMKilled",
         "CrashLoopBackOff. The container ended 3 times, last: OOMKilled (exit status 137)", "memory limit"),
        (waiting("CrashLoopBackOff", "back-off 5m"), ended("Error", 2, message="--x: unknown flag"), "CrashLoopBackOff",
         "CrashLoopBackOff. The container ended 3 times, last: Error (exit status 2): --x: unknown flag", "correct the flags"),
        (waiting("CrashLoopBackOff"), ended("", 0, signal=9), "CrashLoopBackOff",
         "CrashLoopBackOff. The container ended 3 times, last: it ended (signal 9)", "logs gfd-x --previous"),
        (waiting("CreateContainerConfigError", "no ConfigMap"), {}, "CreateContainerConfigError",
         "CreateContainerConfigError: no ConfigMap", "describe pod gfd-x"),
    ],
    ids=["image", "memory", "flags", "signal", "config"],
)  # fmt: skip
def test_a_container_that_does_not_run_is_a_problem(
    state: dict[str, Any], last: dict[str, Any], reason: str, sentence: str, todo: str
) -> None:
    found = check(ready=False, restartCount=3, state=state, lastState=last)
    assert (found.status, found.reason) == ("problem", reason)
    assert found.sentence == f"gfd in the pod gpunode/gfd-x does not run: {sentence}"
    assert todo in str(found.todo)


@pytest.mark.parametrize(("created", "status"), [(JUST_NOW, "note"), (CREATED, "problem"), ("", "problem")])
def test_a_pod_may_start_for_some_minutes(created: str, status: str) -> None:
    for state in (waiting("ContainerCreating"), waiting(""), RUNNING):
        assert check(created=created, ready=False, state=state).status == status


def test_a_pod_that_runs_but_is_not_ready_is_a_problem() -> None:
    found = check(ready=False)
    assert (found.reason, found.sentence) == (
        "AgentNotReady",
        "gfd in the pod gpunode/gfd-x runs, but its /readyz fails",
    )


def test_a_pod_that_is_not_scheduled_is_a_problem_and_one_that_ends_is_a_note() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "Insufficient cpu."}
    found = check(conditions=(condition,))
    assert (found.reason, found.sentence) == (
        "AgentUnschedulable",
        "gfd in the pod gpunode/gfd-x is not scheduled: Insufficient cpu.",
    )
    assert check(conditions=(condition,), deleted=JUST_NOW).status == "note"


def test_a_long_message_is_cut_at_its_begin() -> None:
    found = check(ready=False, state=waiting("CreateContainerError", "a" * 500 + "the error"))
    assert "...aaa" in found.sentence
    assert found.sentence.endswith("the error")
    assert len(found.sentence) < 320


def test_a_pod_without_any_status_is_not_ready() -> None:
    assert check_pod(ProgramPod(metadata=Metadata(name="p")), "gfd", NOON.timestamp()).status == "problem"
