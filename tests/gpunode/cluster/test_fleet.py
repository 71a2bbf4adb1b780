"""The facts about the GPUs of a Node."""

from typing import Any

import msgspec
import pytest

from gpunode.cluster.fleet import GpuNode, Holder, Resource, describe_node, has_gpus, select_pods
from gpunode.cluster.objects import DetailedPod
from node_core.scheduling.objects import Node

GPU = "nvidia.com/gpu"
H100 = {
    f"{GPU}.present": "true",
    f"{GPU}.product": "NVIDIA-H100-80GB-HBM3",
    f"{GPU}.count": "8",
    f"{GPU}.memory": "81559",
    f"{GPU}.replicas": "1",
    f"{GPU}.sharing-strategy": "none",
    f"{GPU}.product.NVIDIA-H100-80GB-HBM3.count": "8",
    "nvidia.com/cuda.driver-version.full": "570.86.15",
    "nvidia.com/cuda.runtime-version.full": "12.8",
}


def node(labels: dict[str, str] | None = None, spec: Any = None, **status: Any) -> Node:
    content = {"metadata": {"name": "n1", "labels": labels or {}}, "spec": spec or {}, "status": status}
    return msgspec.convert(content, Node)


def pod(name: str, amount: Any, node_name: str = "n1", phase: str = "Running") -> DetailedPod:
    container = {"resources": {"limits": {GPU: amount, "cpu": "1"}}}
    content = {
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"nodeName": node_name, "containers": [container]},
        "status": {"phase": phase},
    }
    return msgspec.convert(content, DetailedPod)


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_a_node_with_gpus() -> None:
    holder = Holder(namespace="n", name="a", resources={GPU: 2})
    described = describe_node(node(H100, capacity={GPU: "8", "cpu": "4"}, allocatable={GPU: "7"}), [holder])
    assert described == GpuNode(
        name="n1",
        models=("NVIDIA-H100-80GB-HBM3",),
        product="NVIDIA-H100-80GB-HBM3",
        gpus=8,
        count=8,
        memory_mib=81559,
        replicas=1,
        driver="570.86.15",
        cuda="12.8",
        resources=(Resource(name=GPU, capacity=8, allocatable=7, allocated=2),),
        holders=(holder,),
        problems=(f"1 of 8 {GPU} are not allocatable",),
        has_gpus=True,
    )
    totals = (described.capacity, described.allocatable, described.allocated, described.free, described.unhealthy)
    assert totals == (8, 7, 2, 5, 1)


def test_a_node_without_gpus_has_no_facts() -> None:
    assert describe_node(node(capacity={"cpu": "4"})) == GpuNode(name="n1")


@pytest.mark.parametrize(
    ("product", "models", "layout"),
    [
        ("A100-SHARED", ("A100",), {}),
        ("A100-MIG-1g.5gb", ("A100",), {"1g.5gb": 7}),
        ("A100-MIG-1c.3g.20gb-SHARED", ("A100",), {"1c.3g.20gb": 7}),
        ("A100-MIG-INVALID", ("A100",), {}),
        ("A100-MIG-1g.5gb.me", ("A100",), {"1g.5gb.me": 7}),
    ],
)
def test_the_model_has_no_suffixes(product: str, models: tuple[str, ...], layout: dict[str, int]) -> None:
    described = describe_node(node({f"{GPU}.product": product, f"{GPU}.count": "7"}))
    assert (described.models, described.mig_layout) == (models, layout)


def test_the_layout_with_strategy_mixed() -> None:
    labels = {
        "nvidia.com/mig-1g.5gb.count": "2",
        "nvidia.com/mig-3g.20gb.count": "1",
        "nvidia.com/mig.strategy": "mixed",
    }
    described = describe_node(node(labels))
    assert (described.mig_strategy, described.mig_layout) == ("mixed", {"1g.5gb": 2, "3g.20gb": 1})


def test_a_node_with_two_models_has_both() -> None:
    labels = {f"{GPU}.product": "A", f"{GPU}.product.A.count": "1", f"{GPU}.product.B.count": "1"}
    assert describe_node(node(labels)).models == ("A", "B")


def test_the_labels_of_older_versions_of_gfd_are_read() -> None:
    parts = {
        "driver.major": "535",
        "driver.minor": "104",
        "driver.rev": "05",
        "runtime.major": "12",
        "runtime.minor": "2",
    }
    described = describe_node(node({f"nvidia.com/cuda.{key}": value for key, value in parts.items()}))
    assert (described.driver, described.cuda) == ("535.104.05", "12.2")


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        (
            node(conditions=[condition("Ready", "Unknown", "NodeStatusUnknown")]),
            ["the Node is not ready: NodeStatusUnknown"],
        ),
        (node(spec={"unschedulable": True}), ["the Node is cordoned"]),
        (
            node(conditions=[condition("GPUReady", "False", "NoDriver", "There is no driver.")], capacity={GPU: "1"}),
            ["NoDriver: There is no driver"],
        ),
        (node({f"{GPU}.present": "true"}), ["the Node has GPUs, but no GPU resources"]),
        (node(H100, capacity={GPU: "8"}, allocatable={GPU: "8"}), []),
    ],
    ids=["not ready", "cordoned", "condition", "no resources", "healthy"],
)
def test_the_problems_of_a_node(given: Node, problems: list[str]) -> None:
    assert list(describe_node(given).problems) == problems


@pytest.mark.parametrize(
    ("state", "why", "problems"),
    [
        ("upgrade-required", "", []),
        ("upgrade-done", "", []),
        ("drain-required", "", ["the driver upgrade has the state drain-required"]),
        ("upgrade-failed", "no such image", ["the driver upgrade has the state upgrade-failed: no such image"]),
    ],
)
def test_an_upgrade_of_the_driver_is_a_problem_with_its_reason(state: str, why: str, problems: list[str]) -> None:
    found = node({"nvidia.com/gpu-driver-upgrade-state": state})
    annotations = {"nvidia.com/gpunode.driver-upgrade.reason": why} if why else {}
    metadata = msgspec.structs.replace(found.metadata, annotations=annotations)
    found = msgspec.structs.replace(found, metadata=metadata)
    assert list(describe_node(found).problems) == problems


def test_a_node_that_is_not_validated_has_the_failed_stage_as_a_problem() -> None:
    failed = condition("GPUValidated", "False", "CDIFailed", "There is no CDI specification.")
    found = describe_node(node(conditions=[condition("GPUReady", "True", "GPUsReady"), failed], capacity={GPU: "1"}))
    assert found.problems == ("CDIFailed: There is no CDI specification", f"1 of 1 {GPU} are not allocatable")
    ready = condition("GPUValidated", "True", "Validated")
    assert describe_node(node(conditions=[ready], capacity={GPU: "1"}, allocatable={GPU: "1"})).problems == ()


def test_unhealthy_gpus_are_explained_by_the_condition() -> None:
    some = condition("GPUReady", "True", "SomeGPUsUnhealthy", "7 of 8 GPUs are available. GPU 3: Xid 79.")
    described = describe_node(node(H100, conditions=[some], capacity={GPU: "8"}, allocatable={GPU: "7"}))
    assert described.problems == ("SomeGPUsUnhealthy: 7 of 8 GPUs are available. GPU 3: Xid 79",)


@pytest.mark.parametrize(
    ("labels", "gpus"),
    [
        ({f"{GPU}.count": "8"}, 8),
        ({f"{GPU}.count": "0", "nvidia.com/mig-1g.5gb.count": "7"}, None),
        ({f"{GPU}.product": "A100-MIG-1g.5gb", f"{GPU}.count": "7"}, None),
        ({f"{GPU}.product": "A100-MIG-1g.5gb", f"{GPU}.count": "7", f"{GPU}.product.A100.count": "1"}, 1),
        ({f"{GPU}.product.A.count": "1", f"{GPU}.product.B.count": "2"}, 3),
    ],
    ids=["whole", "mixed", "single", "single with models", "two models"],
)
def test_gpus_in_mig_mode_are_counted_by_their_model(labels: dict[str, str], gpus: int | None) -> None:
    assert describe_node(node(labels)).gpus == gpus


@pytest.mark.parametrize(
    ("given", "is_schedulable"),
    [
        (node(), True),
        (node(spec={"unschedulable": True}), False),
        (node(conditions=[condition("Ready", "False", "KubeletNotReady")]), False),
        (node(conditions=[condition("Ready", "True", "KubeletReady")]), True),
    ],
    ids=["unknown", "cordoned", "not ready", "ready"],
)
def test_a_cordoned_node_and_a_node_that_is_not_ready_get_no_pods(given: Node, is_schedulable: bool) -> None:
    assert describe_node(given).is_schedulable is is_schedulable


def test_a_pod_with_devices_on_a_node_without_them_is_visible() -> None:
    described = describe_node(node(), [Holder(namespace="n", name="a", resources={GPU: 2})])
    assert described.resources == (Resource(name=GPU, capacity=0, allocatable=0, allocated=2),)
    assert described.free == 0


def test_values_that_are_not_numbers_are_unknown() -> None:
    described = describe_node(node({f"{GPU}.count": "many"}, capacity={GPU: "x"}))
    assert (described.count, described.resources) == (None, ())


def test_a_number_of_devices_is_at_most_the_largest_number_of_the_api() -> None:
    (resource,) = describe_node(node(capacity={GPU: "1e400"}, allocatable={GPU: "1e400"})).resources
    assert (resource.capacity, resource.free) == (2**63 - 1, 2**63 - 1)


def test_a_taint_has_the_form_of_kubectl() -> None:
    taints = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": "c", "effect": "NoExecute"}]
    assert describe_node(node(spec={"taints": taints})).taints == ("a:NoSchedule", "b=c:NoExecute")


def test_holders_are_the_running_pods_with_devices() -> None:
    pods = [
        pod("a", 2),
        pod("b", 0),
        pod("c", 1, phase="Succeeded"),
        pod("d", 1, node_name=""),
        pod("e", "x"),
        pod("f", 1),
    ]
    holders = {
        "n1": [Holder(namespace="n", name=name, resources={GPU: amount}) for name, amount in (("a", 2), ("f", 1))]
    }
    assert select_pods(pods) == holders
    assert holders["n1"][0].key == "n/a"


def test_a_label_or_a_resource_means_that_a_node_has_gpus() -> None:
    assert has_gpus(node(H100))
    assert has_gpus(node(capacity={"nvidia.com/mig-1g.5gb": "1"}))
    assert not has_gpus(node({f"{GPU}.present": "false"}, capacity={"cpu": "1"}))
