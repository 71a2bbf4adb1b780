"""The labels of the GPUs of a node."""

import pytest

from gpu_core.domain.inventory import ComputeCapability, Fault
from tests.gfd.labelers.inventories import A40, gpu, labels_below, node


def test_equal_gpus_are_counted() -> None:
    assert labels_below("gpu.", node(gpu(0), gpu(1))) == {
        "machine": "DGX-H100",
        "product": "Tesla-T4",
        "count": "2",
        "replicas": "1",
        "sharing-strategy": "none",
        "memory": "15360",
        "family": "turing",
        "compute.major": "7",
        "compute.minor": "5",
        "product.Tesla-T4.count": "2",
        "product.Tesla-T4.memory": "15360",
        "product.Tesla-T4.family": "turing",
    }


def test_memory_is_in_mib_and_absent_for_boards_without_memory() -> None:
    assert labels_below("gpu.memory", node(gpu(0, memory_bytes=(15360 << 20) + 1048575))) == {"": "15360"}
    assert labels_below("gpu.memory", node(gpu(0, memory_bytes=None))) == {}


@pytest.mark.parametrize("compute", [None, ComputeCapability(major=0, minor=0)])
def test_an_unknown_compute_capability_has_no_labels(compute: ComputeCapability | None) -> None:
    found = labels_below("gpu.", node(gpu(0, compute=compute)))
    assert not {"family", "compute.major", "compute.minor"} & found.keys()


def test_the_labels_describe_and_count_the_most_common_model() -> None:
    ampere = ComputeCapability(major=8, minor=6)
    inventory = node(gpu(0, A40, compute=ampere), gpu(1), gpu(2), gpu(3, A40, compute=ampere), gpu(4))
    found = labels_below("gpu.", inventory)
    assert (found["product"], found["count"], found["family"]) == ("Tesla-T4", "3", "turing")


def test_with_equal_counts_the_labels_describe_the_first_model_by_name() -> None:
    for inventory in (node(gpu(0), gpu(1, A40)), node(gpu(0, A40), gpu(1))):
        assert labels_below("gpu.", inventory)["product"] == "NVIDIA-A40"


def test_a_gpu_that_cannot_be_read_is_not_counted() -> None:
    fault = Fault(index=1, uuid=None, reason="nvmlDeviceGetHandleByIndex returned GPU_IS_LOST")
    assert labels_below("gpu.count", node(gpu(0), faults=(fault,))) == {"": "1"}
