"""Nodes, NVIDIADrivers and pods for tests."""

from collections.abc import Iterable, Mapping
from typing import Any

from gpu_operator.plan.cluster_plan import ClusterPlan, plan_cluster
from gpu_operator.plan.node_facts import ARCHITECTURE, KERNEL, OS_ID, OS_MAJOR, OS_VERSION
from gpu_operator.render.pod import OperatorImages
from gpu_operator.view import COMPONENT, DRIVER_COMPONENT, GPU_PRESENT, OWNER, ClusterView, Obj

NAMESPACE = "gpunode"
IMAGES = OperatorImages(manager="registry/gpunode:1", account="gpu-driver")
NOW = "2026-01-01T00:00:00Z"


def node(
    name: str = "n1",
    labels: Mapping[str, str | None] | None = None,
    *,
    os: str = "ubuntu22.04",
    kernel: str = "5.15.0-105-generic",
    arch: str = "amd64",
) -> Obj:
    """A Node with a GPU. labels: more labels; None removes a label."""
    os_id = os.rstrip("0123456789.")
    version = os.removeprefix(os_id)
    usual = {
        GPU_PRESENT: "true",
        ARCHITECTURE: arch,
        KERNEL: kernel,
        OS_ID: os_id,
        OS_VERSION: version,
        OS_MAJOR: version.partition(".")[0],
    }
    found = {key: value for key, value in {**usual, **(labels or {})}.items() if value is not None}
    metadata = {"name": name, "uid": f"uid-{name}", "labels": found}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": {}}


def driver(name: str = "default", **spec: Any) -> Obj:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {"version": "580.95.05", **spec},
    }


def pod(node_name: str, *, owner: str | None = None, ready: bool = False, name: str = "", **status: Any) -> Obj:
    """A driver pod. owner: the uid of its DaemonSet."""
    owners = [] if owner is None else [{"uid": owner, "kind": "DaemonSet", "controller": True}]
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    return {
        "metadata": {
            "name": name or f"driver-{node_name}",
            "namespace": NAMESPACE,
            "labels": {COMPONENT: DRIVER_COMPONENT},
            "ownerReferences": owners,
            "creationTimestamp": NOW,
        },
        "spec": {"nodeName": node_name},
        "status": {"conditions": conditions, **status},
    }


def view(
    nodes: Iterable[Obj] = (), drivers: Iterable[Obj] = (), daemon_sets: Iterable[Obj] = (), pods: Iterable[Obj] = ()
) -> ClusterView:
    return ClusterView(
        nodes={each["metadata"]["name"]: each for each in nodes},
        drivers={each["metadata"]["name"]: each for each in drivers},
        daemon_sets={f"{NAMESPACE}/{each['metadata']['name']}": each for each in daemon_sets},
        pods={f"{NAMESPACE}/{each['metadata']['name']}": each for each in pods},
    )


def plan(
    *nodes: Obj, drivers: Iterable[Obj] = (), daemon_sets: Iterable[Obj] = (), pods: Iterable[Obj] = ()
) -> ClusterPlan:
    return plan_cluster(view(nodes, drivers, daemon_sets, pods), NAMESPACE, IMAGES)


def applied(wanted: ClusterPlan, **status: int) -> list[Obj]:
    """The DaemonSets of a plan, as the API server has them after the writes."""
    found: list[Obj] = []
    for each in wanted.daemon_sets.values():
        metadata = {
            **each["metadata"],
            "uid": f"uid-{each['metadata']['name']}",
            "resourceVersion": "7",
            "generation": 1,
        }
        found.append({**each, "metadata": metadata, "status": {"observedGeneration": 1, **status}})
    return found


def owned(one: Obj, owner: str) -> Obj:
    """The Node with the label that names its NVIDIADriver."""
    return {**one, "metadata": {**one["metadata"], "labels": {**one["metadata"]["labels"], OWNER: owner}}}
