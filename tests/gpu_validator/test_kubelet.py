"""The check of the devices of the kubelet."""

from gpu_validator.check import Verdict
from gpu_validator.kubelet import KubeletFacts, check_kubelet
from tests.gpu_validator.nodes import RESOURCE, group, inventory

FOUND = inventory()
FIRST, SECOND = (each.uuid for each in FOUND.gpus)
DEVICES = (group(FIRST, SECOND), group("nic-0", resource="example.com/nic"))


def test_the_devices_that_are_allocatable_are_counted() -> None:
    check = check_kubelet(KubeletFacts(devices=DEVICES, allocatable={RESOURCE: "1"}), FOUND)
    assert (check.verdict, check.sentence) == (Verdict.PASSED, f"1 {RESOURCE} allocatable")


def test_without_the_node_object_the_devices_of_the_kubelet_count() -> None:
    assert check_kubelet(KubeletFacts(devices=DEVICES), FOUND).sentence == f"2 {RESOURCE} allocatable"


def test_a_resource_with_another_name_counts_and_a_device_of_others_does_not() -> None:
    facts = KubeletFacts(
        devices=(group(f"{FIRST}::0", resource="nvidia.com/big"),), allocatable={"nvidia.com/big": "1"}
    )
    assert check_kubelet(facts, FOUND).verdict is Verdict.PASSED
    assert facts.ids(FOUND) == {f"{FIRST}::0"}
    assert check_kubelet(KubeletFacts(devices=DEVICES[1:]), FOUND).sentence == "the kubelet has no GPU of this node"


def test_devices_that_are_all_unhealthy_fail() -> None:
    for amount in ("0", "x", None):
        allocatable = {} if amount is None else {RESOURCE: amount}
        check = check_kubelet(KubeletFacts(devices=DEVICES, allocatable=allocatable), FOUND)
        assert (check.verdict, check.sentence) == (Verdict.FAILED, f"the Node has no allocatable {RESOURCE}")


def test_a_node_whose_gpus_come_by_claims_needs_no_devices_of_the_kubelet() -> None:
    check = check_kubelet(KubeletFacts(devices=DEVICES[1:], has_dra_driver=True), FOUND)
    assert (check.verdict, "ResourceSlices" in check.sentence) == (Verdict.NOT_APPLICABLE, True)
    assert check_kubelet(KubeletFacts(devices=DEVICES, has_dra_driver=True), FOUND).verdict is Verdict.PASSED


def test_a_kubelet_that_does_not_respond_fails_and_a_machine_without_one_does_not() -> None:
    assert check_kubelet(KubeletFacts(error="no response"), FOUND).verdict is Verdict.FAILED
    assert check_kubelet(KubeletFacts(has_kubelet=False), FOUND).verdict is Verdict.NOT_APPLICABLE
