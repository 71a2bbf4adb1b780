"""The status of an NVIDIADriver names each Node without a driver, with the reason, and is bounded."""

from typing import Any

import pytest

from gpu_operator.events import plan_event
from gpu_operator.plan.driver_pods import Reason, Wait, find_wait, pods_by_node
from gpu_operator.plan.status import (
    ERROR,
    MAX_GROUPS,
    MAX_MESSAGE,
    MAX_NAMES,
    READY,
    DriverState,
    find_condition,
    render_status,
)
from gpu_operator.spec import decode_spec
from tests.gpu_operator.clusters import NOW, driver, node, plan, pod

FINE = decode_spec({"version": "1"})


def status_of(found: Any, name: str = "default", observed: Any = None) -> dict[str, Any]:
    return render_status(found.states[name], observed or driver(name), now=NOW)


def waiting(reason: str, message: str = "", kind: str = "containerStatuses") -> dict[str, Any]:
    return {kind: [{"name": "c", "image": "i:1", "state": {"waiting": {"reason": reason, "message": message}}}]}


def test_a_cluster_whose_drivers_are_ready_is_ready() -> None:
    status = status_of(plan(node("a"), drivers=[driver()], pods=[pod("a", ready=True)]))
    assert (status["state"], status["nodes"]) == ("ready", {"desired": 1, "ready": 1, "waiting": 0, "excluded": 0})
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [(READY, "True"), (ERROR, "False")]
    assert [(each["desired"], each["ready"]) for each in status["pools"]] == [(1, 1)]
    assert status["withoutDriver"] == []


def test_an_object_without_nodes_is_ready() -> None:
    assert find_condition({"status": status_of(plan(drivers=[driver()]))}, READY)["reason"] == "NoNodes"


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (waiting("ImagePullBackOff", "manifest unknown"), Reason.IMAGE_NOT_PULLED, "i:1 cannot be pulled: manifest unknown"),
        (waiting("ErrImagePull", kind="initContainerStatuses"), Reason.IMAGE_NOT_PULLED, "cannot be pulled: ErrImagePull"),
        (waiting("CreateContainerConfigError", "no secret"), Reason.DRIVER_FAILS, "cannot start: no secret"),
        (
            {"containerStatuses": [{
                "name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 7, "message": "no headers\n"}},
            }]},
            Reason.DRIVER_FAILS, "exit status 7: no headers",
        ),
        ({"initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 3}}}]}, Reason.DRIVER_FAILS, "container i"),
        ({"containerStatuses": [{"name": "c", "state": {"running": {}}}]}, Reason.STARTING, "nvidia-smi"),
        ({"initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}, Reason.PREPARING, "prepares"),
        ({}, Reason.PREPARING, ""),
        ({"containerStatuses": None, "initContainerStatuses": [{}]}, Reason.PREPARING, ""),
    ],
)  # fmt: skip
def test_the_state_of_a_pod_is_the_reason_why_its_node_waits(
    status: dict[str, Any], reason: Reason, words: str
) -> None:
    wait = find_wait(pod("a", **status))
    assert wait is not None
    assert (wait.reason, words in wait.message) == (reason, True), wait.message


def test_the_attempts_of_a_container_that_fails_again_and_again_do_not_change_the_reason() -> None:
    ended = {"exitCode": 1, "reason": "Error", "message": "no headers"}
    attempts: tuple[dict[str, Any], ...] = (
        {"state": {"terminated": ended}, "lastState": {"terminated": {**ended, "message": "an earlier one"}}},
        {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended}},
        {"state": {"running": {}}, "lastState": {"terminated": ended}, "started": False},
    )
    for kind in ("initContainerStatuses", "containerStatuses"):
        statuses: list[dict[str, Any]] = [{kind: [{"name": "c", **each}]} for each in attempts]
        assert len({find_wait(pod("a", **each)) for each in statuses}) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"started": True, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}},
        {"started": False, "lastState": {"terminated": {"exitCode": 255, "reason": "Unknown"}}},
    ],
    ids=["failed before its start", "rebooted"],
)
def test_an_earlier_end_of_a_container_is_no_failure(more: dict[str, Any]) -> None:
    wait = find_wait(pod("a", containerStatuses=[{"name": "c", "state": {"running": {}}, **more}]))
    assert wait is not None
    assert wait.reason is Reason.STARTING


def test_a_pod_that_is_not_scheduled_has_the_words_of_the_scheduler() -> None:
    pending = {**pod("a"), "spec": {}, "status": {"conditions": [{"type": "PodScheduled", "message": "0/1 nodes"}]}}
    wait = find_wait(pending)
    assert wait is not None
    assert (wait.reason, wait.message) == (Reason.NOT_SCHEDULED, "The pod is not scheduled: 0/1 nodes")


def test_the_newest_pod_of_a_node_counts_that_is_not_ending() -> None:
    old, new = pod("a", name="z"), pod("a", name="b", ready=True)
    old["metadata"]["deletionTimestamp"] = NOW
    assert pods_by_node({"ns/z": old, "ns/b": new})["a"] is new
    wait = find_wait(old)
    assert wait is not None
    assert wait.reason is Reason.ENDING


def test_a_pod_that_waits_for_the_end_of_another_does_not_hide_the_driver_that_works() -> None:
    """A change of usePrecompiled replaces the DaemonSet. The old pod runs until the upgrade of its Node."""
    old, waiting_pod = pod("a", name="b", ready=True), pod("a", name="z")
    match = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [match]}}
    new = {**waiting_pod, "spec": {"affinity": {"nodeAffinity": required}}}
    found = pods_by_node({"ns/b": old, "ns/z": new})["a"]
    assert find_wait(found) is None
    old["metadata"]["deletionTimestamp"] = NOW
    assert pods_by_node({"ns/b": old, "ns/z": new})["a"] is new


def test_pods_that_are_no_driver_pods_do_not_count() -> None:
    other = pod("a", ready=True)
    other["metadata"]["labels"] = {}
    assert pods_by_node({"ns/x": other}) == {}


def test_a_reason_that_needs_a_person_is_an_error_that_names_a_node() -> None:
    images = [pod(name, **waiting("ErrImagePull", "not found")) for name in ("b", "c")]
    status = status_of(plan(node("a"), node("b"), node("c"), drivers=[driver()], pods=images))
    error = find_condition({"status": status}, ERROR)
    assert (error["status"], error["reason"]) == ("True", "ImageNotPulled")
    assert error["message"] == "2 Nodes, such as b: The image i:1 cannot be pulled: not found"
    assert [(each["reason"], each["count"], each["nodes"]) for each in status["withoutDriver"]] == [
        ("ImageNotPulled", 2, ["b", "c"]),
        ("NotCreated", 1, ["a"]),
    ]


def test_excluded_nodes_are_named_but_nobody_waits_for_them() -> None:
    status = status_of(plan(node("a", {"nvidia.com/gpu.deploy.driver": "pre-installed"}), drivers=[driver()]))
    assert (status["state"], status["nodes"]["excluded"], status["nodes"]["desired"]) == ("ready", 1, 0)
    assert status["withoutDriver"][0]["nodes"] == ["a"]


def test_an_unusable_spec_is_an_error_and_unknown_fields_are_named() -> None:
    broken = {**driver(), "spec": {"version": 1, "verson": 2}}
    status = status_of(plan(drivers=[broken]), observed=broken)
    assert find_condition({"status": status}, ERROR)["reason"] == "SpecNotValid"
    assert status["notSupported"] == ["spec.verson: unknown field (did you mean version?)"]


def test_all_lists_are_bounded() -> None:
    waits = {f"n{i:04}": Wait(reason=Reason.STARTING, message=f"{i % 50} {'x' * 5000}") for i in range(5000)}
    status = render_status(DriverState(decoded=FINE, waits=waits), driver(), now=NOW)
    groups = status["withoutDriver"]
    assert (len(groups), {len(each["nodes"]) for each in groups}) == (MAX_GROUPS, {MAX_NAMES})
    assert {len(each["message"]) for each in groups} == {MAX_MESSAGE}
    assert status["nodes"]["waiting"] == 5000
    assert all(len(each["message"]) <= MAX_MESSAGE for each in status["conditions"])


def test_the_time_of_a_condition_changes_only_with_its_status() -> None:
    before = {**driver(), "status": render_status(DriverState(decoded=FINE), driver(), now="2000-01-01T00:00:00Z")}
    after = render_status(DriverState(decoded=FINE, problem="no"), before, now=NOW)
    assert before["status"] == render_status(DriverState(decoded=FINE), before, now=NOW), "no write without a change"
    assert [each["lastTransitionTime"] for each in after["conditions"]] == [NOW, NOW]


def test_events_report_new_problems_and_their_end_once() -> None:
    fine = render_status(DriverState(decoded=FINE), driver(), now=NOW)
    failed = render_status(DriverState(decoded=FINE, problem="no rights"), driver(), now=NOW)
    event = plan_event({**driver(), "status": fine}, failed, at=NOW)
    assert event is not None
    assert (event.reason, event.note, event.is_warning) == ("WriteFailed", "no rights", True)
    assert plan_event({**driver(), "status": failed}, failed, at=NOW) is None
    back = plan_event({**driver(), "status": failed}, fine, at=NOW)
    assert back is not None
    assert (back.reason, back.is_warning) == ("NoNodes", False)
    assert plan_event({**driver(), "status": fine}, fine, at=NOW) is None


def test_nodes_that_start_to_wait_are_no_event() -> None:
    wait = {"a": Wait(reason=Reason.STARTING, message="m")}
    status = render_status(DriverState(decoded=FINE, waits=wait), driver(), now=NOW)
    assert plan_event(driver(), status, at=NOW) is None
