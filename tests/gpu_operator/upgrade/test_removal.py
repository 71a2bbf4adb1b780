"""The pods of a Node: which ones the upgrade waits for, evicts, deletes and leaves alone."""

from typing import Any

import pytest

from gpu_core.pods.eviction import DRAIN_SKIP
from gpu_operator.upgrade.keys import State
from tests.gpu_operator.upgrade.fleet import GUARDED, Fleet, state
from tests.gpu_operator.upgrade.test_states import NO_DRAIN, only, reason, upgrading

DATA = {"volumes": [{"name": "v", "emptyDir": {}}]}


def removed(fleet: Fleet, verb: str = "POST") -> list[str]:
    """The pods that were asked to leave, without repetitions."""
    paths = [path for each, path, body in fleet.writes if each == verb and "/pods/" in path]
    return sorted({"/".join(path.removesuffix("/eviction").split("/")[-3::2]) for path in paths})


def test_pods_that_use_gpus_are_evicted_and_others_remain() -> None:
    fleet = upgrading(at=State.DELETION)
    fleet.add_pod("train", "n0")
    fleet.add_pod(
        "mig", "n0", namespace="web", initContainers=[{"resources": {"requests": {"nvidia.com/mig-1g.5gb": 1}}}]
    )
    fleet.add_pod("web", "n0", namespace="web")
    fleet.add_pod("agent", "n0", owner="DaemonSet")
    fleet.add_pod("done", "n0")["status"]["phase"] = "Succeeded"
    fleet.add_pod("static", "n0")["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    fleet.add_pod("elsewhere", "n1")
    fleet.add_pod("claimed", "n0", namespace="web", resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}])
    fleet.claimants = {"web/claimed"}
    fleet.run(20)
    assert removed(fleet) == ["ml/train", "web/claimed", "web/mig"]
    assert state(only(fleet)) == State.DONE


@pytest.mark.parametrize(
    ("owner", "spec", "options", "why"),
    [
        (
            "",
            {},
            {},
            "pod ml/p has no controller that creates it again. Delete it, or set spec.upgradePolicy.podDeletion.force",
        ),
        ("", {}, {"force": True}, None),
        (
            "ReplicaSet",
            DATA,
            {},
            "pod ml/p has data in an emptyDir volume. Delete it, or set spec.upgradePolicy.podDeletion.deleteEmptyDir",
        ),
        ("ReplicaSet", DATA, {"deleteEmptyDir": True}, None),
    ],
    ids=["bare", "bare-forced", "data", "data-deleted"],
)
def test_a_pod_that_cannot_come_back_needs_a_permission(
    owner: str, spec: dict[str, Any], options: dict[str, Any], why: str | None
) -> None:
    fleet = upgrading(at=State.DELETION, policy={"podDeletion": options})
    fleet.add_pod("p", "n0", owner=owner, **spec)
    fleet.run(20)
    assert (state(only(fleet)), reason(fleet)) == ((State.FAILED, why) if why else (State.DONE, ""))


def test_a_disruption_budget_that_never_allows_is_named_after_the_timeout() -> None:
    fleet = upgrading(at=State.DELETION, policy=NO_DRAIN)
    fleet.add_pod("web", "n0", labels={GUARDED: "yes"})
    fleet.reconcile()
    assert reason(fleet).startswith("pod ml/web is not removed: Cannot evict pod. The disruption budget guard needs")
    before = len(fleet.writes)
    fleet.reconcile()
    assert len(fleet.writes) == before + 1, "the eviction is repeated, the annotation is not"
    fleet.now += 100
    fleet.reconcile()
    assert state(only(fleet)) == State.FAILED
    assert "The disruption budget guard" in reason(fleet)
    assert "podDeletion.timeoutSeconds is 100" in reason(fleet)


def test_force_deletes_after_the_timeout_and_gives_up_after_the_same_time_again() -> None:
    fleet = upgrading(at=State.DELETION, policy={"podDeletion": {"timeoutSeconds": 100, "force": True}})
    fleet.add_pod("web", "n0", labels={GUARDED: "yes"})
    fleet.now += 99
    fleet.reconcile()
    assert removed(fleet, "DELETE") == []
    fleet.now += 1
    fleet.reconcile()
    assert removed(fleet, "DELETE") == ["ml/web"]
    fleet.now += 100
    fleet.reconcile()
    assert state(only(fleet)) == State.FAILED


def test_a_timeout_of_zero_never_ends() -> None:
    fleet = upgrading(at=State.DELETION, policy={"podDeletion": {"timeoutSeconds": 0}})
    fleet.add_pod("web", "n0", labels={GUARDED: "yes"})
    fleet.now += 1e9
    fleet.reconcile()
    assert state(only(fleet)) == State.DELETION
    assert fleet.plan().after_s == 5


def test_the_drain_follows_if_pods_with_gpus_cannot_be_evicted() -> None:
    fleet = upgrading(
        at=State.DELETION, policy={"drain": {"enable": True, "force": True, "podSelector": "app notin (db)"}}
    )
    fleet.add_pod("bare", "n0", owner="")
    fleet.add_pod("web", "n0", namespace="web")
    fleet.add_pod("db", "n0", namespace="web", labels={"app": "db"})
    fleet.add_pod("skipped", "n0", namespace="web", labels={DRAIN_SKIP: "true"})
    fleet.run(20)
    assert removed(fleet) == ["ml/bare", "web/web"]
    assert state(only(fleet)) == State.DONE


def test_a_drain_that_is_switched_off_in_the_middle_does_not_wedge_the_node() -> None:
    fleet = upgrading(at=State.DELETION, policy={"drain": {"enable": True, "timeoutSeconds": 0}})
    fleet.add_pod("bare", "n0", owner="")
    fleet.reconcile()
    assert state(only(fleet)) == State.DRAIN
    fleet.policy = {}
    fleet.run(20)
    assert state(only(fleet)) == State.FAILED


def test_jobs_complete_before_anything_is_evicted() -> None:
    policy = {"waitForCompletion": {"podSelector": "job in (yes)", "timeoutSeconds": 0}}
    fleet = upgrading(at=State.WAIT, policy=policy)
    job = fleet.add_pod("job", "n0", labels={"job": "yes"})
    fleet.add_pod("web", "n0")
    fleet.now += 1e9
    fleet.reconcile()
    assert (state(only(fleet)), removed(fleet), fleet.plan().after_s) == (State.WAIT, [], 15)
    job["status"]["phase"] = "Succeeded"
    fleet.run(20)
    assert (state(only(fleet)), removed(fleet)) == (State.DONE, ["ml/web"])


def test_the_time_of_jobs_also_passes_without_a_controller() -> None:
    policy = {"waitForCompletion": {"podSelector": "job=yes", "timeoutSeconds": 100}}
    fleet = upgrading(at=State.WAIT, policy=policy)
    fleet.add_pod("job", "n0", labels={"job": "yes"})
    fleet.now += 90
    assert fleet.plan().after_s == 10
    fleet.now += 10
    fleet.working_since = fleet.now
    fleet.reconcile()
    assert state(only(fleet)) == State.DELETION


def test_a_controller_that_was_away_evicts_before_it_gives_up() -> None:
    fleet = upgrading(at=State.DELETION, policy=NO_DRAIN)
    fleet.add_pod("web", "n0")
    fleet.now += 10_000
    fleet.working_since = fleet.now
    fleet.run(20)
    assert (state(only(fleet)), removed(fleet)) == (State.DONE, ["ml/web"])


@pytest.mark.parametrize("at", [State.WAIT, State.DELETION])
def test_no_pod_leaves_if_the_old_version_returns(at: State) -> None:
    fleet = upgrading(at=at, policy={"waitForCompletion": {"podSelector": "job=yes"}})
    fleet.add_pod("job", "n0", labels={"job": "yes"})
    fleet.release("rev-1")
    fleet.run(20)
    assert (state(only(fleet)), removed(fleet)) == (State.DONE, [])


def test_a_pod_that_was_replaced_under_the_same_name_is_not_evicted() -> None:
    fleet = upgrading(at=State.DELETION)
    fleet.add_pod("web-0", "n0", owner="StatefulSet")
    view = fleet.view()
    fleet.add_pod("web-0", "n1", owner="StatefulSet")
    fleet.reconcile(view)
    assert "deletionTimestamp" not in fleet.pods["ml/web-0"]["metadata"]
    assert reason(fleet) == ""
