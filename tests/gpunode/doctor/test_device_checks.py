"""Devices and labels of GPUs on a Node object."""

import pytest

from gpunode.cluster.fleet import Resource, describe_node
from gpunode.doctor.check import Check
from gpunode.doctor.device_checks import check_devices, check_gfd_labels, find_difference, find_pci_label
from node_core.scheduling.objects import Condition, Metadata, Node, NodeStatus

GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
LABELS = {
    "nvidia.com/gpu.product": "Tesla-T4",
    "nvidia.com/gpu.count": "4",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/gpu.product.Tesla-T4.count": "4",
    "nvidia.com/mig.capable": "false",
    "nvidia.com/gfd.timestamp": "1000",
}


def node(
    capacity: dict[str, str],
    allocatable: dict[str, str] | None = None,
    *,
    labels: dict[str, str] | None = None,
    reason: str = "GPUsReady",
) -> Node:
    status = NodeStatus(
        capacity={"cpu": "4", **capacity},
        allocatable={"cpu": "4", **(capacity if allocatable is None else allocatable)},
        conditions=(Condition(type="GPUReady", status="True", reason=reason),),
    )
    return Node(metadata=Metadata(name="n1", labels=labels or {}), status=status)


def amounts(*given: dict[str, str]) -> tuple[Resource, ...]:
    return describe_node(node(*given)).resources


def check_labels(node: Node, wall: float, *, is_expected: bool) -> Check:
    (found,) = check_gfd_labels(node, describe_node(node).resources, wall, is_expected=is_expected)
    return found


def difference(node: Node) -> str | None:
    return find_difference(node, describe_node(node).resources)


@pytest.mark.parametrize(
    ("key", "is_found"),
    [
        ("feature.node.kubernetes.io/pci-10de.present", True),
        ("feature.node.kubernetes.io/pci-0302_10de.present", True),
        ("feature.node.kubernetes.io/pci-0302_10de_2330.present", True),
        ("feature.node.kubernetes.io/pci-10de_2330.present", True),
        ("feature.node.kubernetes.io/pci-15b3.present", False),
        ("feature.node.kubernetes.io/pci-15b3_10de0.present", False),
        ("feature.node.kubernetes.io/pci-0302_10de.sriov.capable", False),
    ],
)
def test_labels_of_the_pci_bus(key: str, is_found: bool) -> None:
    assert find_pci_label({key: "true"}) == (key if is_found else None)
    assert find_pci_label({key: "false"}) is None


def test_devices_that_are_all_allocatable_are_ok() -> None:
    found = list(check_devices(amounts({GPU: "8", MIG: "7", "nvidia.com/old": "0"}), is_explained=False))
    assert [(each.status, each.sentence) for each in found] == [
        ("ok", "8 of 8 nvidia.com/gpu are allocatable"),
        ("ok", "7 of 7 nvidia.com/mig-1g.10gb are allocatable"),
    ]


@pytest.mark.parametrize(
    ("capacity", "allocatable", "sentence"),
    [
        ({GPU: "8"}, {GPU: "7"}, "7 of 8 nvidia.com/gpu are allocatable"),
        ({GPU: "8"}, {}, "0 of 8 nvidia.com/gpu are allocatable"),
        ({GPU: "0"}, {GPU: "0"}, "the Node has no devices of NVIDIA: its capacity is 0"),
        ({}, {}, "the Node has no devices of NVIDIA: its capacity is 0"),
        ({GPU: "garbage"}, {}, "the Node has no devices of NVIDIA: its capacity is 0"),
    ],
)
def test_devices_that_are_missing_are_a_problem_unless_another_check_explains_it(
    capacity: dict[str, str], allocatable: dict[str, str], sentence: str
) -> None:
    (found,) = check_devices(amounts(capacity, allocatable), is_explained=False)
    assert (found.status, found.reason, found.sentence) == ("problem", "NotAdvertisedByKubelet", sentence)
    (found,) = check_devices(amounts(capacity, allocatable), is_explained=True)
    assert (found.status, found.sentence) == ("note", sentence)


def test_the_labels_state_the_model_and_when_they_changed() -> None:
    found = check_labels(node({GPU: "4"}, labels=LABELS), 1120.0, is_expected=True)
    assert (found.status, found.sentence) == ("ok", "gfd states 4 of the product Tesla-T4, last changed 2 min ago")
    found = check_labels(node({GPU: "4"}, labels=LABELS | {"nvidia.com/gfd.timestamp": "x"}), 0.0, is_expected=True)
    assert found.sentence == "gfd states 4 of the product Tesla-T4"


def test_missing_labels_are_a_problem_if_gfd_runs() -> None:
    found = check_labels(node({GPU: "4"}), 0.0, is_expected=True)
    assert (found.status, found.reason) == ("problem", "LabelsMissing")
    found = check_labels(node({GPU: "4"}), 0.0, is_expected=False)
    assert found.status == "note"


def test_labels_that_contradict_the_capacity_are_a_problem() -> None:
    found = check_labels(node({GPU: "8"}, labels=LABELS), 1120.0, is_expected=True)
    assert (found.status, found.reason) == ("problem", "LabelsContradict")
    assert found.sentence.endswith(
        "but nvidia.com/gpu.count and nvidia.com/gpu.replicas state 4 devices, and the capacity is 8 nvidia.com/gpu"
    )


CAPABLE = LABELS | {"nvidia.com/mig.capable": "true"}
MIXED = CAPABLE | {"nvidia.com/mig.strategy": "mixed", f"{MIG}.count": "7", f"{MIG}.replicas": "1"}


@pytest.mark.parametrize(
    ("capacity", "labels", "reason", "is_different"),
    [
        ({GPU: "4"}, LABELS, "GPUsReady", False),
        ({GPU: "3"}, LABELS, "GPUsReady", True),
        ({GPU: "40"}, LABELS | {"nvidia.com/gpu.replicas": "10"}, "GPUsReady", False),
        ({"nvidia.com/gpu.shared": "40"}, LABELS | {"nvidia.com/gpu.replicas": "10"}, "GPUsReady", False),
        ({GPU: "3"}, LABELS, "SomeGPUsUnhealthy", False),
        ({GPU: "3"}, CAPABLE, "GPUsReady", False),
        ({GPU: "5"}, CAPABLE, "GPUsReady", True),
        ({GPU: "3"}, CAPABLE | {"nvidia.com/mig.strategy": "single"}, "GPUsReady", True),
        ({MIG: "7"}, MIXED, "GPUsReady", False),
        ({MIG: "8"}, MIXED, "GPUsReady", True),
        ({GPU: "4", MIG: "8"}, MIXED, "GPUsReady", False),
        ({GPU: "3"}, LABELS | {"nvidia.com/gpu.product.Other.count": "2"}, "GPUsReady", False),
        ({GPU: "3"}, LABELS | {"nvidia.com/gpu.replicas": "0"}, "GPUsReady", False),
        ({GPU: "3"}, LABELS | {"nvidia.com/gpu.count": "x"}, "GPUsReady", False),
    ],
    ids=[
        "equal", "fewer", "shared", "renamed", "unhealthy", "MIG possible", "more", "single", "mixed", "mixed differs", "two resources",
        "two models", "not advertised", "garbage",
    ],
)  # fmt: skip
def test_labels_are_compared_only_where_they_can_be(
    capacity: dict[str, str], labels: dict[str, str], reason: str, is_different: bool
) -> None:
    assert (difference(node(capacity, labels=labels, reason=reason)) is not None) is is_different
