"""The stage of a driver, from the driver pods of a Node."""

from typing import Any

import msgspec
import pytest

from gpunode.cluster.driver_stage import DriverPod, describe_driver_pod, describe_stage
from gpunode.cluster.feed import parse_pod
from gpunode.cluster.fleet import describe_node
from gpunode.cluster.objects import DetailedPod
from node_core.scheduling.objects import Node

OWNER = "nvidia.com/gpu-operator.driver.owner"
RUNNING: dict[str, Any] = {"name": "nvidia-driver-ctr", "state": {"running": {}}}


def driver_pod(*, node: str = "n1", component: str = "nvidia-driver", is_ready: bool = False, **meta: str) -> Any:
    return {
        "metadata": {"name": "d", "namespace": "n", "labels": {"app.kubernetes.io/component": component}, **meta},
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": str(is_ready)}], "containerStatuses": [RUNNING]},
    }


def described(pod: Any) -> DriverPod | None:
    return describe_driver_pod(msgspec.convert(pod, DetailedPod))


def stage(labels: dict[str, str], *pods: Any) -> str:
    node = msgspec.convert({"metadata": {"name": "n1", "labels": labels}}, Node)
    return describe_stage(node, [found for pod in pods if (found := described(pod)) is not None])


@pytest.mark.parametrize("pod", [driver_pod(node=""), driver_pod(component="gfd")], ids=["without a Node", "another"])
def test_other_pods_are_not_driver_pods(pod: Any) -> None:
    assert described(pod) is None
    assert parse_pod(pod, 0) is None


@pytest.mark.parametrize(
    ("labels", "pods", "start"),
    [
        ({}, [], ""),
        ({OWNER: "a"}, [], "NotCreated: "),
        ({OWNER: "a"}, [driver_pod(is_ready=True)], ""),
        ({}, [driver_pod()], "Starting: "),
        ({}, [driver_pod(deletionTimestamp="2026-03-01T09:00:00Z")], "Ending: "),
        ({}, [driver_pod(deletionTimestamp="2026-03-01T09:00:00Z"), driver_pod()], "Starting: "),
        ({}, [driver_pod(deletionTimestamp="2026-03-01T09:00:00Z"), driver_pod(is_ready=True)], ""),
    ],
)
def test_the_stage_is_that_of_the_pod_that_is_not_ending(labels: dict[str, str], pods: list[Any], start: str) -> None:
    found = stage(labels, *pods)
    assert found.startswith(start)
    assert bool(found) == bool(start)


def test_a_node_whose_pods_are_not_known_or_that_has_devices_has_no_stage() -> None:
    labels = {OWNER: "a", "nvidia.com/gpu.present": "true"}
    waiting = msgspec.convert({"metadata": {"name": "n1", "labels": labels}}, Node)
    assert describe_node(waiting).problems == ("the Node has GPUs, but no GPU resources",)
    assert describe_node(waiting, ()).problems[0].startswith("no driver: NotCreated: ")
    resources = {"nvidia.com/gpu": "8"}
    status = {"capacity": resources, "allocatable": resources}
    assert (
        describe_node(
            msgspec.convert({"metadata": {"name": "n1", "labels": labels}, "status": status}, Node), ()
        ).problems
        == ()
    )
