"""Reads the Nodes of the cluster, and what Pods use on them. Retains only what the question needs."""

from collections.abc import Collection, Iterator
from fractions import Fraction

from gpunode.cluster.fleet import Holder
from gpunode.cluster.lists import UNFINISHED, list_nodes, list_pods
from gpunode.why.subject import Snapshot
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Pod
from node_core.scheduling.requests import Amounts, add, is_extended, pod_requests

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
