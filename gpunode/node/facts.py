"""Reads everything about one Node: the object with its field managers, its Pods with devices, and Events. Sends only read requests."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from gpunode.cluster.events import list_events, sort_events
from gpunode.cluster.fleet import GpuNode, describe_node, requested_devices, select_pods
from gpunode.cluster.holders import read_pods_of
from gpunode.cluster.label_owners import LabelsByOwner, group_labels
from gpunode.cluster.names import read_node
from gpunode.top.use import DeviceUse
from node_core.errors import KubeError, NodeError
from node_core.kube.http import ApiClient, parse_response
from node_core.scheduling.objects import Event, Node, Pod

MAX_EVENTS = 20
REQUESTS = 8
"""Requests at the same time."""
UNKNOWN = "Which devices a pod has is not known here"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """pods: with devices. devices: with the pods that have them. note: why they are unknown, in a sentence without a period; else empty.

    events: of the Node and of the pods, the newest first. events_problem: why they are unknown; else empty.
    """

    node: Node
    gpus: GpuNode
    labels: LabelsByOwner
    pods: tuple[Pod, ...]
    devices: tuple[DeviceUse, ...] = ()
    note: str = ""
    events: tuple[Event, ...] = ()
    events_problem: str = ""


def read_facts(api: ApiClient, name: str) -> NodeFacts:
    """Raises NodeError, also if the Node does not exist."""
    raw: dict[str, Any] = read_node(api, name, dict[str, Any])
    node = parse_response(partial(msgspec.convert, type=Node), raw)
    placed = read_pods_of(api, node.name)
    pods = tuple(sorted((pod for pod in placed if requested_devices(pod)), key=lambda pod: pod.key))
    gpus = describe_node(node, select_pods(placed).get(node.name, ()))
    devices, note = read_devices(api, node, pods)
    events, problem = read_events(api, node.name, pods)
    return NodeFacts(
        node=node,
        gpus=gpus,
        labels=parse_response(group_labels, raw),
        pods=pods,
        devices=devices,
        note=note,
        events=events,
        events_problem=problem,
    )


def read_devices(api: ApiClient, node: Node, pods: Iterable[Pod]) -> tuple[tuple[DeviceUse, ...], str]:
    """Returns the devices in the metrics of gpu-exporter, or why they are unknown. A Node that is not ready would not respond."""
    if not pods:
        return (), ""
    ready = node.condition("Ready")
    if ready is not None and ready.status != "True":
        return (), f"{UNKNOWN}: the Node is not ready"
    from gpunode.top.remote import RemoteReader  # noqa: PLC0415 - a Node without such pods does not need it

    try:
        return RemoteReader(api, node.name).read(), ""
    except NodeError as error:
        return (), f"{UNKNOWN}: {error}"


def read_events(api: ApiClient, name: str, pods: Iterable[Pod]) -> tuple[tuple[Event, ...], str]:
    """Returns the newest Events of the Node and of the pods, or why they are unknown. Raises KubeError, except for a missing right."""
    objects = [("Node", name, ""), *(("Pod", pod.metadata.name, pod.metadata.namespace) for pod in pods)]
    try:
        with ThreadPoolExecutor(REQUESTS) as executor:
            found = list(executor.map(lambda each: list_events(api, *each), objects))
    except KubeError as error:
        if error.status != 403:
            raise
        return (), str(error)
    return sort_events(event for events in found for event in events)[:MAX_EVENTS], ""
