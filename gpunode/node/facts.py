"""Reads everything about one Node: the object with its field managers, Pods and claims with devices, and Events. It only reads."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from gpunode.cluster.claim_devices import ClaimDevice
from gpunode.cluster.claims import ClaimReader
from gpunode.cluster.events import list_events, sort_events
from gpunode.cluster.fleet import GpuNode, describe_node, select_pods
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
    claim_devices: of ResourceSlices.

    events: of the Node and of the pods, the newest first. events_problem: why they are unknown; else empty.
    """

    node: Node
    gpus: GpuNode
    labels: LabelsByOwner
    pods: tuple[Pod, ...]
    devices: tuple[DeviceUse, ...] = ()
    note: str = ""
    claim_devices: tuple[ClaimDevice, ...] = ()
    events: tuple[Event, ...] = ()
    events_problem: str = ""


def read_facts(api: ApiClient, name: str) -> NodeFacts:
    """Raises NodeError, also if the Node does not exist."""
    raw: dict[str, Any] = read_node(api, name, dict[str, Any])
    node = parse_response(partial(msgspec.convert, type=Node), raw)
    placed = read_pods_of(api, node.name)
    known = describe_node(node, select_pods(placed).get(node.name, ()))
    claims = ClaimReader(api, node.name)
    claim_devices, gpus = claims.devices_of(known), claims.add_to(known)
    held = {holder.key for holder in gpus.holders}
    pods = tuple(sorted((pod for pod in placed if pod.key in held), key=lambda pod: pod.key))
    devices, note = read_devices(api, node, pods)
    events, problem = read_events(api, node.name, pods)
    return NodeFacts(
        node=node,
        gpus=gpus,
        labels=parse_response(group_labels, raw),
        pods=pods,
        devices=devices,
        note="" if claim_devices else note,
        claim_devices=claim_devices,
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
