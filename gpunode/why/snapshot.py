"""Reads the Nodes of the cluster, what Pods use on them, and ResourceClaims. Retains only what the question needs."""

from collections.abc import Collection, Iterator
from fractions import Fraction

from gpunode.cluster.claim_devices import select_devices
from gpunode.cluster.claims import read_claims, read_classes, read_slices
from gpunode.cluster.fleet import Holder
from gpunode.cluster.lists import UNFINISHED, list_nodes, list_pods
from gpunode.why.extended import map_resources
from gpunode.why.subject import ClaimSnapshot, Snapshot
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.resource_claims import read_resource_version
from node_core.scheduling.objects import Pod
from node_core.scheduling.requests import DEVICE_CLASS, Amounts, add, is_extended, pod_requests
from node_core.values import replace

PLACED = f"{UNFINISHED},spec.nodeName!="
"""The field selector of Pods that use resources of a Node."""


def read_snapshot(api: ApiClient, resources: Collection[str]) -> Snapshot:
    """resources: those that the pods in question request. Without the right to list pods, all devices count as free. Raises KubeError."""
    nodes = tuple(node for page in list_nodes(api) for node in page)
    used: dict[str, Amounts] = {}
    holders: dict[str, list[Holder]] = {}
    notes: tuple[str, ...] = ()
    try:
        for pod in _placed_pods(api):
            _count(pod, resources, used, holders)
    except KubeError as error:
        if error.status != 403:
            raise
        notes = (f"What pods use is unknown, so all devices count as free: {error}.",)
    return Snapshot(nodes=nodes, used=used, holders={name: tuple(each) for name, each in holders.items()}, notes=notes)


def add_claims(snapshot: Snapshot, api: ApiClient, resources: Collection[str], *, is_claimed: bool) -> Snapshot:
    """Returns the snapshot with the claims and devices of the cluster, or with a note that they are unknown. Raises KubeError.

    resources: those that the pods in question request. is_claimed: a pod in question has claims. Else claims are read only if a DeviceClass
    serves an extended resource, or if a pod requests devices of a DeviceClass.
    """
    needs_claims = is_claimed or any(each.startswith(DEVICE_CLASS) for each in resources)
    try:
        return replace(snapshot, claims=_read_claims(api, is_needed=needs_claims))
    except KubeError as error:
        if error.status not in (403, 404):
            raise
        if error.status == 404 and not needs_claims:
            return snapshot
        what = "The resource claims of the pod were" if is_claimed else "Whether resource claims serve the pod was"
        return replace(snapshot, notes=(*snapshot.notes, f"{what} not evaluated: {error}."))


def _read_claims(api: ApiClient, *, is_needed: bool) -> ClaimSnapshot | None:
    version = read_resource_version(api)
    classes = read_classes(api, version)
    if not is_needed and not any(each.spec.extended_resource_name for each in classes):
        return None
    claims = {each.key: each for each in read_claims(api, version)}
    devices = select_devices(read_slices(api, version), claims.values())
    names = frozenset(each.metadata.name for each in classes)
    return ClaimSnapshot(claims=claims, devices=devices, classes=names, resources=map_resources(classes))


def _placed_pods(api: ApiClient) -> Iterator[Pod]:
    return (pod for page in list_pods(api, fields=PLACED) for pod in page)


def _count(pod: Pod, resources: Collection[str], used: dict[str, Amounts], holders: dict[str, list[Holder]]) -> None:
    """Adds a Pod in place. A Pod with an invalid quantity, which kube-apiserver would refuse, uses nothing."""
    try:
        requested = pod_requests(pod)
    except ValueError:
        return
    add(used.setdefault(pod.spec.node_name, {}), requested)
    devices = {
        name: int(requested[name]) for name in resources if is_extended(name) and requested.get(name, Fraction(0)) > 0
    }
    if devices:
        holder = Holder(namespace=pod.metadata.namespace, name=pod.metadata.name, resources=devices)
        holders.setdefault(pod.spec.node_name, []).append(holder)
