"""Which DaemonSets of drivers end. PURE.

A DaemonSet whose pool is gone is deleted when no Node runs its pods. If its pods still run on Nodes of a new pool, because the spec has
changed, the DaemonSet is deleted without its pods: they run until an upgrade replaces them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gpu_operator.view import OWNER, ClusterView, Obj, is_driver_pod, labels_of, owner_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The deletion of a DaemonSet in this state. retains_pods: its pods remain."""

    key: str
    uid: str
    resource_version: str
    retains_pods: bool


def plan_deletions(
    view: ClusterView, wanted: Collection[str], usable: Collection[str], pool_nodes: Collection[str]
) -> tuple[Deletion, ...]:
    """wanted: `namespace/name` of the DaemonSets of all pools. usable: the NVIDIADrivers whose pools are known.

    pool_nodes: the Nodes of all pools.
    """
    return tuple(_deletions(view, wanted, usable, pool_nodes))


def _deletions(
    view: ClusterView, wanted: Collection[str], usable: Collection[str], pool_nodes: Collection[str]
) -> Iterator[Deletion]:
    for key, daemon_set in sorted(view.daemon_sets.items()):
        metadata = daemon_set["metadata"]
        if key in wanted or metadata.get("deletionTimestamp") or labels_of(daemon_set).get(OWNER) not in usable:
            continue
        is_replaced = _selects_any(daemon_set, view.nodes, pool_nodes)
        if is_replaced or _is_unused(daemon_set, view.pods):
            version = str(metadata.get("resourceVersion", ""))
            yield Deletion(key=key, uid=str(metadata["uid"]), resource_version=version, retains_pods=is_replaced)


def _selects_any(daemon_set: Obj, nodes: Mapping[str, Obj], names: Collection[str]) -> bool:
    """True if the DaemonSet still selects a Node of another pool. Then its pods never end by themselves."""
    selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
    return any(selector.items() <= labels_of(nodes[name]).items() for name in names)


def _is_unused(daemon_set: Obj, pods: Mapping[str, Obj]) -> bool:
    status = daemon_set.get("status") or {}
    is_observed = status.get("observedGeneration", 0) >= daemon_set["metadata"].get("generation", 0)
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled")
    uid = daemon_set["metadata"]["uid"]
    has_pods = any(is_driver_pod(pod) and owner_uid(pod) == uid for pod in pods.values())
    return is_observed and not has_pods and not any(status.get(count, 0) for count in counts)
