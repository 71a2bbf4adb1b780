"""Which Node gets which driver, in which DaemonSet, and what is written."""

from typing import Any

import pytest

from gpu_operator.plan.driver_pods import Reason
from gpu_operator.plan.node_facts import KERNEL, OS_ID, OS_VERSION
from gpu_operator.view import DEPLOY_DRIVER, DEPLOY_OPERANDS, GPU_PRESENT, OWNER, PRE_INSTALLED, Obj
from tests.gpu_operator.clusters import NAMESPACE, applied, driver, node, owned, plan, pod


def names(*nodes: Obj, **more: Any) -> set[str]:
    return {key.removeprefix(f"{NAMESPACE}/nvidia-driver-daemonset-") for key in plan(*nodes, **more).daemon_sets}


def reasons(found: Any, name: str = "default") -> dict[str, Reason]:
    return {each: wait.reason for each, wait in found.states[name].waits.items()}


def test_nodes_with_the_same_system_share_a_daemon_set_whatever_their_kernels_are() -> None:
    nodes = (node("a"), node("b", kernel="6.8.0-1"), node("c", os="ubuntu24.04"), node("d", arch="arm64"))
    assert names(*nodes, drivers=[driver()]) == {"ubuntu22.04", "ubuntu24.04", "ubuntu22.04-arm64"}


def test_precompiled_drivers_have_a_daemon_set_for_each_kernel_with_the_name_of_upstream() -> None:
    nodes = (node("a"), node("b"), node("c", kernel="6.8.0-50-generic"))
    assert names(*nodes, drivers=[driver(usePrecompiled=True)]) == {
        "5.15.0-105-generic-ubuntu22.04",
        "6.8.0-50-generic-ubuntu22.04",
    }


def test_a_system_whose_images_have_the_major_version_only_has_one_pool_for_its_minor_versions() -> None:
    nodes = (node("a", os="rhel9.4"), node("b", os="rhel9.6"), node("c", os="rocky9.4"), node("d", os="sles15.6"))
    assert names(*nodes, drivers=[driver()]) == {"rhel9", "rocky9", "sles15.6"}


def test_a_new_kernel_moves_a_node_to_the_pool_of_this_kernel() -> None:
    drivers = [driver(usePrecompiled=True)]
    before = plan(node("a"), drivers=drivers)
    after = plan(node("a", {OWNER: "default"}, kernel="6.8.0"), drivers=drivers, daemon_sets=applied(before))
    assert [key.rpartition("daemonset-")[2] for key in after.daemon_sets] == ["6.8.0-ubuntu22.04"]
    assert [(each.key, each.retains_pods) for each in after.deletions] == [(*before.daemon_sets, False)]


def test_nothing_is_written_when_nothing_has_changed() -> None:
    before = plan(node("a"), drivers=[driver()])
    again = plan(owned(node("a"), "default"), drivers=[driver()], daemon_sets=applied(before))
    assert (before.owners, again.owners) == ({"a": "default"}, {})
    assert (again.daemon_sets, again.deletions) == ({}, ())


def test_a_change_of_the_spec_applies_the_daemon_set_again() -> None:
    before = plan(node("a"), drivers=[driver()])
    after = plan(node("a"), drivers=[driver(version="590.1")], daemon_sets=applied(before))
    assert set(after.daemon_sets) == set(before.daemon_sets)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({DEPLOY_DRIVER: PRE_INSTALLED}, Reason.PRE_INSTALLED),
        ({DEPLOY_DRIVER: "false"}, Reason.OPTED_OUT),
        ({DEPLOY_OPERANDS: "false"}, Reason.OPTED_OUT),
    ],
)
def test_a_node_that_is_excluded_is_named_and_gets_no_daemon_set(labels: dict[str, str], reason: Reason) -> None:
    found = plan(node("a", {**labels, OWNER: "default"}), drivers=[driver()])
    assert (found.daemon_sets, found.owners) == ({}, {"a": None})
    assert reasons(found) == {"a": reason}


@pytest.mark.parametrize("value", ["true", "", "paused-for-driver-upgrade"])
def test_other_values_of_the_label_exclude_no_node(value: str) -> None:
    assert plan(node("a", {DEPLOY_DRIVER: value}), drivers=[driver()]).owners == {"a": "default"}


@pytest.mark.parametrize("value", [None, "false", ""])
def test_a_node_without_a_gpu_is_not_mentioned(value: str | None) -> None:
    found = plan(node("a", {GPU_PRESENT: value}), drivers=[driver()])
    assert (found.daemon_sets, found.owners, reasons(found)) == ({}, {}, {})


@pytest.mark.parametrize(("key", "spec"), [(OS_ID, {}), (OS_VERSION, {}), (KERNEL, {"usePrecompiled": True})])
def test_a_node_that_lacks_a_label_is_named_and_retains_its_driver(key: str, spec: dict[str, Any]) -> None:
    found = plan(node("a", {key: None, OWNER: "default"}), node("b"), drivers=[driver(**spec)])
    assert found.owners == {"b": "default"}
    wait = found.states["default"].waits["a"]
    assert (wait.reason, key in wait.message) == (Reason.MISSING_LABELS, True)


def test_a_kernel_label_is_needed_only_for_precompiled_drivers() -> None:
    assert reasons(plan(node("a", {KERNEL: None}), drivers=[driver()])) == {"a": Reason.NOT_CREATED}


def test_a_node_that_two_objects_select_keeps_its_driver_and_is_named_in_both() -> None:
    one, two = driver("one", nodeSelector={"pool": "x"}), driver("two")
    nodes = (node("a", {"pool": "x", OWNER: "two"}), node("b", {"pool": "x"}), node("c"))
    found = plan(*nodes, drivers=[one, two])
    assert found.owners == {"c": "two"}, "only the nodes in conflict are affected"
    assert reasons(found, "one") == {"a": Reason.CLAIMED_TWICE, "b": Reason.CLAIMED_TWICE}
    assert reasons(found, "two")["b"] is Reason.CLAIMED_TWICE
    assert "one and two" in found.states["one"].waits["a"].message


def test_the_object_default_gets_the_nodes_that_no_other_object_selects() -> None:
    found = plan(node("a", {"pool": "x"}), node("b"), drivers=[driver(), driver("other", nodeSelector={"pool": "x"})])
    assert found.owners == {"a": "other", "b": "default"}
    assert names(
        node("a", {"pool": "x"}), node("b"), drivers=[driver(), driver("other", nodeSelector={"pool": "x"})]
    ) == {
        "ubuntu22.04",
        "ubuntu22.04-amd64-other",
    }


def test_a_node_affinity_selects_nodes() -> None:
    terms = [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["h100", "b200"]}]}]
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = plan(
        node("a", {"gpu": "h100"}), node("b", {"gpu": "t4"}), node("c"), drivers=[driver(nodeAffinity=affinity)]
    )
    assert found.owners == {"a": "default"}


def test_an_unusable_spec_changes_nothing_and_is_named() -> None:
    before = plan(node("a"), drivers=[driver()])
    broken = {**driver(), "spec": {"version": 5}}
    found = plan(
        owned(node("a"), "default"), node("b"), drivers=[broken], daemon_sets=applied(before, desiredNumberScheduled=0)
    )
    assert (found.daemon_sets, found.deletions, found.owners) == ({}, (), {})
    assert found.states["default"].decoded.problems


def test_an_unusable_spec_does_not_lose_its_nodes_to_another_object() -> None:
    found = plan(owned(node("a"), "one"), node("b"), drivers=[{**driver("one"), "spec": None}, driver("two")])
    assert found.owners == {"b": "two"}
    assert reasons(found, "two")["a"] is Reason.CLAIMED_TWICE


def test_a_daemon_set_whose_pods_still_run_ends_when_they_have_ended() -> None:
    before = plan(node("a"), drivers=[driver()])
    running = applied(before, desiredNumberScheduled=1)
    (uid,) = (each["metadata"]["uid"] for each in running)
    gone = node("a", {OWNER: "default", GPU_PRESENT: "false"})
    assert plan(gone, drivers=[driver()], daemon_sets=running).deletions == ()
    assert plan(gone, drivers=[driver()], daemon_sets=applied(before), pods=[pod("a", owner=uid)]).deletions == ()
    (deletion,) = plan(gone, drivers=[driver()], daemon_sets=applied(before)).deletions
    assert (deletion.uid, deletion.resource_version, deletion.retains_pods) == (uid, "7", False)


def test_a_status_that_is_not_current_deletes_no_daemon_set() -> None:
    before = plan(node("a"), drivers=[driver()])
    assert plan(drivers=[driver()], daemon_sets=applied(before, observedGeneration=0)).deletions == ()


def test_a_daemon_set_that_another_one_replaces_is_deleted_without_its_pods() -> None:
    before = plan(node("a"), drivers=[driver()])
    running = applied(before, desiredNumberScheduled=1, currentNumberScheduled=1)
    after = plan(owned(node("a"), "default"), drivers=[driver(usePrecompiled=True)], daemon_sets=running)
    assert [each.retains_pods for each in after.deletions] == [True]


def test_daemon_sets_of_others_are_left_alone() -> None:
    foreign = {"metadata": {"name": "x", "uid": "u", "labels": {}}, "spec": {"template": {"spec": {}}}, "status": {}}
    assert plan(drivers=[driver()], daemon_sets=[foreign]).deletions == ()


def test_a_driver_that_is_being_deleted_gets_no_daemon_sets_and_loses_its_nodes() -> None:
    leaving = driver()
    leaving = {**leaving, "metadata": {**leaving["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    found = plan(owned(node("a"), "default"), drivers=[leaving])
    assert (found.daemon_sets, found.owners, found.states) == ({}, {"a": None}, {})


def test_openshift_needs_precompiled_drivers() -> None:
    found = plan(node("a", os="rhcos4.16"), drivers=[driver()])
    assert (found.daemon_sets, reasons(found)) == ({}, {"a": Reason.NOT_SUPPORTED})
    assert names(node("a", os="rhcos4.16", kernel="5.14"), drivers=[driver(usePrecompiled=True)]) == {"5.14-rhcos4.16"}


def test_a_name_that_cannot_be_the_value_of_a_label_is_an_error_and_nothing_is_written() -> None:
    name = "n" * 64
    found = plan(node("a"), drivers=[driver(name)])
    assert (found.daemon_sets, found.owners) == ({}, {})
    assert "metadata.name" in found.states[name].decoded.problems[0]
