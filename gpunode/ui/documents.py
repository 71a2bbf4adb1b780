"""The JSON documents of the page. The keys are those of `gpunode nodes -o json`, with what only the page shows."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gpunode.cluster.claim_devices import ClaimDevice, DeviceIndex
from gpunode.cluster.claimed_node import add_known_claims, needs_claims
from gpunode.cluster.connection import Connection
from gpunode.cluster.events import list_events
from gpunode.cluster.feed import ClusterFeed, Snapshot
from gpunode.cluster.fleet import (
    GPU,
    GpuNode,
    describe_node,
    has_gpus,
    render_document,
    requested_devices,
)
from gpunode.cluster.label_owners import LabelsByOwner, group_labels
from gpunode.output.terminal import Terminal
from gpunode.ui.health import HealthHistory
from gpunode.why.render import render_text
from gpunode.why.report import explain_target
from node_core.errors import KubeError
from node_core.kube.http import parse_response
from node_core.scheduling.objects import Event, Pod

SHOWN_EVENTS = 20
Devices = Mapping[str, tuple[ClaimDevice, ...]]
"""Node -> its devices in ResourceSlices."""


class Documents:
    """connection: for what the feed does not have: field managers and Events."""

    def __init__(self, connection: Connection, feed: ClusterFeed, history: HealthHistory) -> None:
        self._connection, self._feed, self._history = connection, feed, history
        self._devices = DeviceIndex()

    def fleet(self) -> dict[str, Any]:
        """Returns all Nodes with GPUs, and the Pods that request devices and are pending."""
        snapshot = self._feed.snapshot()
        nodes = list(describe_nodes(snapshot, self._devices_of(snapshot)))
        return {
            "version": snapshot.version,
            "cluster": self._connection.api.server,
            "isComplete": snapshot.is_complete,
            "stale": describe_problems(snapshot),
            "totals": count_totals(nodes),
            "nodes": [render_document(each) for each in nodes],
            "pending": [render_pending(pod) for pod in pending_pods(snapshot)],
        }

    def node(self, name: str) -> dict[str, Any]:
        """Raises KubeError if the Node does not exist."""
        snapshot = self._feed.snapshot()
        if (node := snapshot.nodes.get(name)) is None:
            raise KubeError(f"there is no Node {name}", status=404)
        pods, devices = snapshot.pods_by_node().get(name, []), self._devices_of(snapshot).get(name, ())
        described = describe_node(node, pods)
        shown = [each for each in devices if each.is_shown] if needs_claims(described) else []
        return {
            **render_document(add_known_claims(described, devices, snapshot.claim_problem)),
            "claimDevices": [msgspec.to_builtins(each) for each in shown],
            "stale": describe_problems(snapshot),
            "kubelet": node.status.node_info.kubelet_version,
            "topology": describe_topology(node.labels),
            "health": msgspec.to_builtins(self._history.changes(name)),
            "labels": self._labels_by_owner(name),
            "events": self._events("Node", name),
        }

    def pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Raises KubeError if the Pod does not exist, has ended, or requests neither devices nor claims."""
        snapshot, key = self._feed.snapshot(), f"{namespace}/{name}"
        found = snapshot.pods.get(key)
        if found is None:
            raise KubeError(f"there is no running or pending Pod {key} that requests GPUs", status=404)
        pod = found.pod
        devices = self._devices_of(snapshot).get(pod.spec.node_name, ())
        return {
            **render_pending(pod),
            "node": pod.spec.node_name,
            "claimDevices": [msgspec.to_builtins(each) for each in devices if key in each.pods],
            "why": "" if pod.spec.node_name else self._explain(namespace, name),
            "events": self._events("Pod", name, namespace),
        }

    def _devices_of(self, snapshot: Snapshot) -> Devices:
        return self._devices.update(snapshot.slices.values(), snapshot.claims.values())

    def _explain(self, namespace: str, name: str) -> str:
        """Returns the text of `gpunode why`."""
        connection = Connection(api=self._connection.api, namespace=namespace)
        return render_text(explain_target(connection, f"pod/{name}"), Terminal())

    def _labels_by_owner(self, name: str) -> LabelsByOwner:
        return parse_response(
            group_labels, self._connection.api.request("GET", f"/api/v1/nodes/{quote(name, safe='')}")
        )

    def _events(self, kind: str, name: str, namespace: str = "") -> Any:
        return [render_event(each) for each in list_events(self._connection.api, kind, name, namespace)[:SHOWN_EVENTS]]


def describe_nodes(snapshot: Snapshot, devices: Devices) -> Iterator[GpuNode]:
    """Yields the Nodes with GPUs, by name. devices: of ResourceSlices."""
    pods = snapshot.pods_by_node()
    for name, node in sorted(snapshot.nodes.items()):
        if has_gpus(node) or name in pods:
            described = describe_node(node, pods.get(name, ()))
            yield add_known_claims(described, devices.get(name, ()), snapshot.claim_problem)


def describe_problems(snapshot: Snapshot) -> dict[str, str]:
    """Returns nodes or pods -> why they are not current."""
    return {kind: str(problem.error) for kind, problem in snapshot.problems.items()}


def count_totals(nodes: list[GpuNode]) -> dict[str, int]:
    return {
        "nodes": len(nodes),
        "capacity": sum(each.capacity for each in nodes),
        "allocated": sum(each.allocated for each in nodes),
        "free": sum(each.free for each in nodes),
        "unhealthy": sum(each.unhealthy for each in nodes),
    }


def pending_pods(snapshot: Snapshot) -> list[Pod]:
    """Returns the Pods without a Node that request devices or have claims, the oldest first."""
    pods = (each.pod for each in snapshot.pods.values() if not each.pod.spec.node_name)
    return sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.key))


def render_pending(pod: Pod) -> dict[str, Any]:
    """summary: the reason of the scheduler."""
    scheduled = next((each for each in pod.status.conditions if each.type == "PodScheduled"), None)
    amounts = [f"{name}: {amount}" for name, amount in requested_devices(pod).items()]
    requests = ", ".join(
        (*amounts, *(f"claim: {name}" for each in pod.spec.resource_claims if (name := each.get("name"))))
    )
    summary = scheduled.message if scheduled is not None and scheduled.message else pod.status.phase
    return {"namespace": pod.metadata.namespace, "name": pod.metadata.name, "requests": requests, "summary": summary}


def render_event(event: Event) -> dict[str, Any]:
    return {"at": event.last_seen, "type": event.type, "reason": event.reason, "message": event.message}


def describe_topology(labels: Mapping[str, str]) -> dict[str, int]:
    """Returns what the labels of gfd state about links and NUMA nodes."""
    keys = {
        "numaNodes": f"{GPU}.numa.nodes",
        "numaLargest": f"{GPU}.numa.largest",
        "nvlinkGroup": f"{GPU}.nvlink.largest",
    }
    return {name: int(labels[key]) for name, key in keys.items() if labels.get(key, "").isdecimal()}
