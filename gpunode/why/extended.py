"""Extended resources that the scheduler serves with devices of ResourceSlices. PURE.

A DeviceClass can name an extended resource. On a Node without allocatable devices of a device plugin for this resource, the scheduler
creates a ResourceClaim for the Pod. Source: Kubernetes documentation, Dynamic Resource Allocation, extended resources; KEP-5004.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from gpunode.cluster.claim_devices import CLASSES
from gpunode.cluster.claim_objects import DeviceClass
from gpunode.cluster.fleet import Holder
from gpunode.why.amounts import count, render_names
from gpunode.why.claims import MOST_NAMES, Candidate, select_candidates
from gpunode.why.resources import allocatable_of, nearest_class
from gpunode.why.subject import ClaimSnapshot, Snapshot
from node_core.scheduling.objects import Node
from node_core.scheduling.requests import DEVICE_CLASS
from node_core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An extended resource. nodes: Node -> devices.

    is_counted: the free devices are known here. Else the scheduler alone evaluates them.
    """

    resource: str
    device_class: str
    is_counted: bool
    nodes: Mapping[str, Sequence[Candidate]]


def map_resources(classes: Iterable[DeviceClass]) -> dict[str, str]:
    """Returns extended resource -> the name of its DeviceClass. Of several, the newest serves the resource, then the first by name."""
    by_name = sorted(classes, key=lambda each: each.metadata.name, reverse=True)
    ordered = sorted(by_name, key=lambda each: each.metadata.creation_timestamp)
    named = {each.spec.extended_resource_name: each.metadata.name for each in ordered}
    implicit = {f"{DEVICE_CLASS}{each.metadata.name}": each.metadata.name for each in ordered}
    return {**implicit, **{resource: name for resource, name in named.items() if resource}}


def find_served(requests: Iterable[str], claims: ClaimSnapshot | None, claim: str = "") -> tuple[Served, ...]:
    """Returns the resources that a DeviceClass serves: the requested ones, and those that can be meant by a typing error.

    claim: of the Pod itself, whose devices are free for the Pod.
    """
    if claims is None:
        return ()
    wanted = {name for each in requests for name in (each, nearest_class(each, claims.classes))}
    return tuple(
        _serve(resource, device_class, claims, claim)
        for resource, device_class in claims.resources.items()
        if resource in wanted or not resource.startswith(DEVICE_CLASS)
    )


def offer_devices(snapshot: Snapshot, served: Sequence[Served], requested: Mapping[str, Fraction]) -> Snapshot:
    """Returns the snapshot whose Nodes have devices of ResourceSlices as amounts of the served resources.

    Nodes with devices of a device plugin are unchanged. A resource whose devices are not counted is no reason to refuse a Node.
    """
    for each in served:
        snapshot = _offer(snapshot, each, requested.get(each.resource, Fraction(0)))
    return snapshot


def describe_served(served: Iterable[Served], nodes: Sequence[Node]) -> Iterator[str]:
    """Yields where the devices of each resource are, and why some of them are not allocatable."""
    for each in served:
        start = f"{each.resource} is served by a ResourceClaim of the DeviceClass {each.device_class}"
        if not each.is_counted:
            yield f"{start}. The scheduler alone evaluates which devices match."
            continue
        has = [node for node in nodes if node.name in each.nodes and not has_plugin(node, each.resource)]
        where = f"{count(len(has), 'node')} {'has' if len(has) == 1 else 'have'}" if has else "no node has"
        yield f"{start} on nodes without a device plugin: {where} such devices in ResourceSlices.{_taints(each, has)}"


def has_plugin(node: Node, resource: str) -> bool:
    """Whether the scheduler uses a device plugin for the resource on the Node.

    After a device plugin ends, the capacity of its resource remains for five minutes and nothing is allocatable: DRA serves the resource.
    """
    return allocatable_of(node, resource) > 0


def _serve(resource: str, device_class: str, claims: ClaimSnapshot, claim: str) -> Served:
    nodes = select_candidates(device_class, claims.devices, claim)
    is_counted = device_class in CLASSES.values() and not any(
        each.device.is_on_demand for candidates in nodes.values() for each in candidates
    )
    return Served(resource=resource, device_class=device_class, is_counted=is_counted, nodes=nodes)


def _taints(served: Served, nodes: Iterable[Node]) -> str:
    tainted = [
        f"{each.device.name} on {each.node}: {', '.join(each.device.taints)}"
        for node in nodes
        for each in served.nodes[node.name]
        if each.device.taints
    ]
    return f" Devices with taints count as unhealthy: {render_names(tainted, MOST_NAMES)}." if tainted else ""


def _offer(snapshot: Snapshot, served: Served, requested: Fraction) -> Snapshot:
    nodes, used, holders = [], dict(snapshot.used), dict(snapshot.holders)
    for node in snapshot.nodes:
        candidates = served.nodes.get(node.name, ())
        if has_plugin(node, served.resource) or (served.is_counted and not candidates):
            nodes.append(node)
            continue
        usable = [each for each in candidates if not each.device.taints]
        capacity, allocatable = (len(candidates), len(usable)) if served.is_counted else (requested, requested)
        nodes.append(_with_amount(node, served.resource, str(capacity), str(allocatable)))
        taken = sum(each.is_allocated for each in usable) if served.is_counted else 0
        used[node.name] = {**used.get(node.name, {}), served.resource: Fraction(taken)}
        holders[node.name] = _merge(holders.get(node.name, ()), served.resource, candidates)
    return replace(snapshot, nodes=tuple(nodes), used=used, holders=holders)


def _with_amount(node: Node, resource: str, capacity: str, allocatable: str) -> Node:
    status = node.status
    amounts = {
        "capacity": {**status.capacity, resource: capacity},
        "allocatable": {**(status.allocatable or status.capacity), resource: allocatable},
    }
    return msgspec.structs.replace(node, status=msgspec.structs.replace(status, **amounts))


def _merge(holders: Iterable[Holder], resource: str, candidates: Iterable[Candidate]) -> tuple[Holder, ...]:
    """Returns the Pods with the devices that they have by claims, instead of those that they request."""
    counted = Counter(pod for each in candidates for pod in each.pods)
    found = {
        each.key: {name: amount for name, amount in each.resources.items() if name != resource} for each in holders
    }
    for key, amount in counted.items():
        found.setdefault(key, {})[resource] = amount
    split = ((key.partition("/"), resources) for key, resources in found.items() if resources)
    return tuple(Holder(namespace=namespace, name=name, resources=has) for (namespace, _, name), has in split)
