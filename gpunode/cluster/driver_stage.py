"""Why a Node that gets its driver from gpu-operator has no ready driver, from the driver pod of the Node. PURE."""

from collections.abc import Iterable

import msgspec

from gpu_operator.plan.driver_pods import find_wait
from gpu_operator.view import COMPONENT, DRIVER_COMPONENT, OWNER
from gpunode.cluster.objects import DetailedPod
from node_core.scheduling.objects import ApiStruct, Node


class DriverPod(ApiStruct, frozen=True):
    """A driver pod on a Node. is_ending: another one may follow. wait: why its driver is not ready; empty if the driver is ready."""

    namespace: str
    name: str
    is_ending: bool = False
    wait: str = ""


def describe_driver_pod(pod: DetailedPod) -> DriverPod | None:
    """Returns None for a pod that is not a driver pod of a Node."""
    if pod.metadata.labels.get(COMPONENT) != DRIVER_COMPONENT or not pod.spec.node_name:
        return None
    wait = find_wait(msgspec.to_builtins(pod))
    return DriverPod(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        is_ending=bool(pod.metadata.deletion_timestamp),
        wait="" if wait is None else f"{wait.reason}: {wait.message.rstrip('.')}",
    )


def describe_stage(node: Node, pods: Iterable[DriverPod]) -> str:
    """Returns why the Node has no ready driver; empty if the driver is ready, or does not come from gpu-operator."""
    owner, found = node.labels.get(OWNER), sorted(pods, key=lambda pod: pod.is_ending)
    if found:
        return found[0].wait
    return f"NotCreated: the Node has no driver pod, see kubectl describe nvidiadriver {owner}" if owner else ""
