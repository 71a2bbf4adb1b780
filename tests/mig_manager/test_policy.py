"""Busy devices: who uses them, and what happens to the users."""

import pytest

from mig_manager.busy_policy import BusyPolicy
from mig_manager.policy import ANNOTATION, Holder, describe_busy, select_busy, select_pods, select_policy

POD = Holder(namespace="ml", pod="train-0")
PROCESS = Holder(process="process 7 (python)")


def test_without_an_annotation_the_setting_counts() -> None:
    assert select_policy({}, BusyPolicy.EVICT) == (BusyPolicy.EVICT, None)


@pytest.mark.parametrize("policy", BusyPolicy)
def test_the_annotation_of_the_node_takes_precedence(policy: BusyPolicy) -> None:
    assert select_policy({ANNOTATION: str(policy)}, BusyPolicy.WAIT) == (policy, None)


@pytest.mark.parametrize("text", ["", "evcit", "FORCE ", "a" * 70_000])
def test_an_annotation_that_is_not_valid_removes_no_pod(text: str) -> None:
    policy, problem = select_policy({ANNOTATION: text}, BusyPolicy.FORCE)
    assert policy is BusyPolicy.WAIT
    assert problem is not None
    assert ANNOTATION in problem


def test_a_similar_word_is_suggested() -> None:
    assert "did you mean evict" in str(select_policy({ANNOTATION: "evcit"}, BusyPolicy.WAIT)[1])


def test_only_devices_that_must_go_and_have_users_are_busy() -> None:
    usage = {"MIG-1": (POD,), "MIG-2": (PROCESS,)}
    assert select_busy(usage, ("MIG-3", "MIG-2")) == {"MIG-2": (PROCESS,)}


def test_each_pod_is_removed_once_and_processes_are_not() -> None:
    assert select_pods({"MIG-1": (POD, PROCESS), "MIG-2": (POD,)}) == (POD,)


def test_the_users_are_named_with_their_devices() -> None:
    text = describe_busy({"MIG-1": (POD, PROCESS), "MIG-2": (POD,)})
    assert text == "pod ml/train-0 uses MIG-1, MIG-2; process 7 (python) uses MIG-1"
