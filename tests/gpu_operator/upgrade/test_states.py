"""The states of one Node: what leads to the next state, and what ends the upgrade."""

from typing import Any

import pytest

from gpu_operator.upgrade.keys import CORDONED, PROGRESS, REASON, SKIP, STATE, WAS_UNSCHEDULABLE, State
from gpu_operator.upgrade.status import upgrade_status
from gpu_operator.view import annotations_of
from tests.gpu_operator.upgrade.fleet import DRIVER, GUARDED, NAMESPACE, Fleet, Obj, is_cordoned, node, set_ready, state

EVERYTHING = {
    "waitForCompletion": {"podSelector": "job=yes", "timeoutSeconds": 100},
    "podDeletion": {"timeoutSeconds": 100},
    "drain": {"enable": True, "timeoutSeconds": 100},
}
NO_DRAIN = {"podDeletion": {"timeoutSeconds": 100}}


def upgrading(*, policy: dict[str, Any] | None = None, at: State | None = None, **facts: Any) -> Fleet:
    """A fleet of one Node with an old driver. at: the state of the Node, reached by passes of the controller."""
    fleet = Fleet(node("n0", **facts), policy=policy or {})
    fleet.release("rev-2")
    if at is not None:
        reach(fleet, at)
    return fleet


def reach(fleet: Fleet, at: State) -> None:
    for _ in range(10):
        if fleet.states() == {"n0": at}:
            return
        fleet.reconcile()
    raise AssertionError(fleet.states())


def only(fleet: Fleet) -> Obj:
    return fleet.nodes["n0"]


def states_of_writes(fleet: Fleet) -> list[str]:
    labels = [body["metadata"].get("labels", {}) for verb, _, body in fleet.writes if verb == "PATCH"]
    return [each[STATE] for each in labels if STATE in each]


def driver_pod(fleet: Fleet) -> Obj:
    return next(each for key, each in fleet.pods.items() if key.startswith(f"{NAMESPACE}/"))


def reason(fleet: Fleet) -> str:
    return annotations_of(only(fleet)).get(REASON, "")


def test_a_node_passes_the_states_in_order() -> None:
    fleet = upgrading(policy=EVERYTHING)
    fleet.add_pod("web", "n0", labels={GUARDED: "yes"})
    fleet.add_pod("job", "n0", namespace="jobs", labels={"job": "yes"})
    for _ in range(8):
        fleet.reconcile()
        fleet.settle()
        fleet.now += 150
    del fleet.pods["ml/web"]
    only(fleet)["metadata"]["labels"][STATE] = State.REQUIRED
    fleet.run(20, seconds=60)
    assert states_of_writes(fleet) == [
        *("upgrade-required", "cordon-required", "wait-for-jobs-required", "pod-deletion-required", "drain-required"),
        *("upgrade-failed", "cordon-required", "wait-for-jobs-required", "pod-deletion-required"),
        *("pod-restart-required", "uncordon-required", "upgrade-done"),
    ]


def test_a_node_whose_driver_is_current_gets_only_its_label() -> None:
    fleet = Fleet(node("n0"))
    fleet.run(5)
    assert states_of_writes(fleet) == ["upgrade-done"]
    assert not is_cordoned(only(fleet))


def test_the_node_becomes_unschedulable_in_the_same_write_as_its_state() -> None:
    fleet = upgrading(at=State.DELETION)
    *_, (_, _, body), _ = fleet.writes
    assert body["metadata"]["labels"] == {STATE: "pod-deletion-required"}
    assert body["spec"] == {"unschedulable": True}
    assert body["metadata"]["annotations"][CORDONED] == "true"


def test_a_node_that_was_cordoned_before_remains_cordoned() -> None:
    fleet = upgrading(at=State.DELETION, cordoned=True)
    assert annotations_of(only(fleet))[WAS_UNSCHEDULABLE] == "true"
    fleet.run(20)
    assert state(only(fleet)) == State.DONE
    assert is_cordoned(only(fleet))
    assert set(annotations_of(only(fleet))) == {PROGRESS}


def test_a_node_that_another_controller_cordoned_is_uncordoned() -> None:
    fleet = upgrading(cordoned=True, labels={STATE: State.RESTART})
    fleet.run(20)
    assert not is_cordoned(only(fleet))


def test_after_its_label_was_removed_the_node_is_uncordoned_all_the_same() -> None:
    fleet = upgrading(at=State.RESTART)
    del only(fleet)["metadata"]["labels"][STATE]
    fleet.run(20)
    assert state(only(fleet)) == State.DONE
    assert not is_cordoned(only(fleet))


@pytest.mark.parametrize("label", ["", "drain", "node-maintenance-required", "x" * 63])
def test_a_label_that_is_not_a_state_begins_the_upgrade_again(label: str) -> None:
    fleet = upgrading(labels={STATE: label})
    fleet.run(20)
    assert state(only(fleet)) == State.DONE


def test_a_node_to_skip_is_not_touched() -> None:
    fleet = upgrading(labels={SKIP: "true"})
    fleet.run(3)
    assert fleet.writes == []


def test_an_upgrade_that_has_begun_ends_also_if_the_node_is_skipped_then() -> None:
    fleet = upgrading(at=State.RESTART)
    only(fleet)["metadata"]["labels"][SKIP] = "true"
    fleet.run(20)
    assert state(only(fleet)) == State.DONE
    assert not is_cordoned(only(fleet))


def test_an_unready_node_does_not_start() -> None:
    fleet = upgrading(ready=False)
    fleet.run(5)
    assert fleet.states() == {"n0": State.REQUIRED}


def test_a_newer_version_in_the_middle_is_installed_at_once() -> None:
    fleet = upgrading(at=State.RESTART)
    fleet.reconcile()
    fleet.end_pods()
    fleet.create_driver_pods()
    fleet.release("rev-3")
    fleet.run(20)
    assert states_of_writes(fleet).count("pod-restart-required") == 1
    assert driver_pod(fleet)["metadata"]["labels"]["controller-revision-hash"] == "rev-3"


@pytest.mark.parametrize("at", [State.REQUIRED, State.CORDON, State.DELETION, State.RESTART])
def test_if_the_old_version_returns_in_the_middle_the_driver_is_not_restarted(at: State) -> None:
    fleet = upgrading(at=at)
    before = driver_pod(fleet)["metadata"]["uid"]
    fleet.release("rev-1")
    fleet.run(20)
    assert (state(only(fleet)), is_cordoned(only(fleet))) == (State.DONE, False)
    assert driver_pod(fleet)["metadata"]["uid"] == before


@pytest.mark.parametrize("labels", [{"pool": "b"}, {"nvidia.com/gpu.deploy.driver": "false"}])
def test_a_node_that_the_driver_does_not_select_any_more_is_released(labels: dict[str, str]) -> None:
    fleet = upgrading(at=State.RESTART)
    only(fleet)["metadata"]["labels"] |= labels
    fleet.create_driver_pods = lambda: None  # type: ignore[method-assign]
    del fleet.pods[next(iter(fleet.pods))]
    fleet.run(5)
    assert (state(only(fleet)), is_cordoned(only(fleet)), annotations_of(only(fleet))) == ("", False, {})


def test_the_labels_of_another_upgrade_controller_are_not_touched() -> None:
    fleet = Fleet(node("n0", labels={STATE: State.DRAIN, "pool": "b"}, cordoned=True))
    fleet.run(5)
    assert fleet.writes == []


def test_while_the_newest_revision_is_not_known_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = upgrading(at=State.RESTART)
    monkeypatch.setattr(fleet, "_daemon_set", lambda: {**Fleet._daemon_set(fleet), "status": {}})
    before = len(fleet.writes)
    fleet.reconcile()
    assert len(fleet.writes) == before


def test_a_failed_node_recovers_when_its_driver_is_ready() -> None:
    fleet = upgrading()
    fleet.broken.add("n0")
    fleet.run(20)
    assert state(only(fleet)) == State.FAILED
    assert is_cordoned(only(fleet))
    assert reason(fleet) == "the driver pod is not ready: container driver: ImagePullBackOff: no such image"
    fleet.broken.clear()
    fleet.run(20)
    assert (state(only(fleet)), is_cordoned(only(fleet)), reason(fleet)) == (State.DONE, False, "")


def test_a_failed_node_gets_another_attempt_with_another_version() -> None:
    fleet = upgrading()
    fleet.broken.add("n0")
    fleet.run(20)
    fleet.broken.clear()
    fleet.release("rev-3")
    fleet.start_driver_pods = lambda: None  # type: ignore[method-assign]
    fleet.reconcile()
    assert state(only(fleet)) == State.REQUIRED
    del fleet.start_driver_pods
    fleet.run(20)
    assert state(only(fleet)) == State.DONE


def test_a_driver_pod_that_never_becomes_ready_is_a_failure_after_an_hour() -> None:
    fleet = upgrading(at=State.RESTART)
    set_ready(only(fleet), ready=False)
    fleet.reconcile()
    fleet.now += 3599
    fleet.reconcile()
    assert state(only(fleet)) == State.RESTART
    fleet.now += 1
    fleet.reconcile()
    assert (state(only(fleet)), reason(fleet)) == (State.FAILED, "the Node is not Ready after 3600 s")


def test_a_driver_container_that_restarts_again_and_again_is_a_failure() -> None:
    fleet = upgrading(at=State.RESTART)
    fleet.reconcile()
    fleet.end_pods()
    fleet.create_driver_pods()
    driver_pod(fleet)["status"] = {"initContainerStatuses": [{"name": "manager", "ready": False, "restartCount": 11}]}
    fleet.reconcile()
    assert "container manager: restarted 11 times" in reason(fleet)


@pytest.mark.parametrize(
    ("statuses", "ends"),
    [([], State.DONE), (["True"], State.DONE), (["False", "True"], State.DONE), (["False", "False"], State.FAILED)],
)
def test_the_upgrade_waits_ten_minutes_for_the_validation(statuses: list[str], ends: State) -> None:
    fleet = upgrading(at=State.RESTART)
    condition = {"type": "GPUValidated", "status": "True", "message": "the CUDA kernel failed"}
    if statuses:
        only(fleet)["status"]["conditions"].append(condition)
    for status in statuses:
        condition["status"] = status
        for _ in range(3):
            fleet.reconcile()
            fleet.settle()
        fleet.now += 600
    fleet.run(5)
    assert state(only(fleet)) == ends
    assert (ends is State.FAILED) is ("the CUDA kernel failed" in reason(fleet))


def test_the_upgrade_of_a_driver_that_is_deleted_leaves_no_trace() -> None:
    fleet = upgrading(at=State.DELETION)
    view = fleet.view()
    fleet.reconcile(type(view)(nodes=view.nodes))
    assert (state(only(fleet)), is_cordoned(only(fleet)), annotations_of(only(fleet))) == ("", False, {})


def test_a_time_that_is_garbage_or_in_the_future_begins_again() -> None:
    for text in ("", "x", "pod-restart-required 99999999999 rev-2", "pod-restart-required -1 rev-2", "a b c", "é é é"):
        fleet = upgrading(at=State.RESTART)
        set_ready(only(fleet), ready=False)
        only(fleet)["metadata"]["annotations"][PROGRESS] = text
        fleet.reconcile()
        assert annotations_of(only(fleet))[PROGRESS] == f"pod-restart-required {int(fleet.now)} rev-2"
        fleet.now += 3600
        fleet.reconcile()
        assert state(only(fleet)) == State.FAILED


def test_while_the_policy_is_not_valid_nothing_changes() -> None:
    fleet = upgrading(at=State.RESTART)
    fleet.policy["maxParallelUpgrades"] = "garbage"
    before = len(fleet.writes)
    fleet.reconcile()
    assert len(fleet.writes) == before
    upgrade = upgrade_status(fleet.view(), fleet.now)[DRIVER]
    assert [each.state for each in upgrade.nodes] == [State.RESTART]
    assert upgrade.problems[0].startswith("spec.upgradePolicy.maxParallelUpgrades")
