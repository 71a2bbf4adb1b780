"""Nodes without a kubelet: objects that the scheduler takes for machines, as long as somebody renews their leases."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.e2e.cluster.api import Api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
KEPT = "gpunode.local/kept"
"""Label of the leases that the keeper renews."""
LEASE_S = 40
CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "ephemeral-storage": "1Ti"}


def add_node(api: Api, name: str, labels: Mapping[str, str], capacity: Mapping[str, str], now: datetime) -> None:
    """capacity: added to CAPACITY; extended resources too."""
    made = api.create("/api/v1/nodes", render_node(name, labels))
    api.patch(f"/api/v1/nodes/{name}/status", {"status": render_status(capacity, now)})
    api.create(LEASES, render_lease(name, made["metadata"]["uid"], now))


def renew_leases(api: Api, now: datetime) -> None:
    for lease in api.get(f"{LEASES}?labelSelector={KEPT}")["items"]:
        api.patch(f"{LEASES}/{lease['metadata']['name']}", {"spec": {"renewTime": render_time(now)}})


def render_node(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {**own, **labels}}}


def render_status(capacity: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Ready, and everything that there is can be allocated."""
    there = {**CAPACITY, **capacity}
    seconds = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "a node without a kubelet",
        "lastHeartbeatTime": seconds,
        "lastTransitionTime": seconds,
    }
    return {"capacity": there, "allocatable": there, "conditions": [ready]}


def render_lease(name: str, uid: str, now: datetime) -> dict[str, Any]:
    """Goes when its Node goes."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {KEPT: "true"}, "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, "renewTime": render_time(now)},
    }


def render_time(moment: datetime) -> str:
    """MicroTime, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
