"""Nodes without a kubelet. The scheduler uses them as long as their leases are renewed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.e2e.cluster.api import Api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
KEPT = "gpunode.local/kept"
"""The label of the leases that the keeper renews."""
LEASE_S = 40
CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "ephemeral-storage": "1Ti"}


def add_node(api: Api, name: str, labels: Mapping[str, str], capacity: Mapping[str, str], now: datetime) -> None:
    """Creates the Node, its status and its lease. capacity: added to CAPACITY; may contain extended resources."""
    node = api.create("/api/v1/nodes", render_node(name, labels))
    api.patch(f"/api/v1/nodes/{name}/status", {"status": render_status(capacity, now)})
    api.create(LEASES, render_lease(name, node["metadata"]["uid"], now))


def renew_leases(api: Api, now: datetime) -> None:
    for lease in api.get(f"{LEASES}?labelSelector={KEPT}")["items"]:
        api.patch(f"{LEASES}/{lease['metadata']['name']}", {"spec": {"renewTime": render_time(now)}})


def render_node(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {**own, **labels}}}


def render_status(capacity: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Renders a ready status in which the whole capacity is allocatable."""
    amounts = {**CAPACITY, **capacity}
    seconds = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "a node without a kubelet",
        "lastHeartbeatTime": seconds,
        "lastTransitionTime": seconds,
    }
    return {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}


def render_lease(name: str, uid: str, now: datetime) -> dict[str, Any]:
    """Renders a lease that is deleted with its Node."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {KEPT: "true"}, "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, "renewTime": render_time(now)},
    }


def render_time(time: datetime) -> str:
    """Renders a MicroTime in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
