"""The driver pod of a Node, and the newest revision of its DaemonSet. PURE. Source: Kubernetes API v1, Pod; apps/v1, DaemonSet."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_core.pods.eviction import DrainPod, parse_drain_pod
from gpu_operator.view import Obj, labels_of, owner_uid

REVISION = "controller-revision-hash"
"""Label of a pod and of a ControllerRevision of a DaemonSet."""
MAX_RESTARTS = 10
"""A container that was restarted more often does not become ready by itself."""
STUCK = frozenset(
    {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}
)
"""Reasons of a container that waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPod:
    """revision: empty if the DaemonSet of the pod was deleted. problem: why the pod does not become ready by itself, or empty."""

    pod: DrainPod
    revision: str
    is_ready: bool
    problem: str


def select_driver_pod(pods: Iterable[Obj], daemon_sets: Container[str | None]) -> Obj | None:
    """Returns the pod that decides about a Node, or None without a pod. daemon_sets: the uids of all DaemonSets.

    A pod whose DaemonSet was deleted prevents the start of the next pod, so it comes first. Pods that terminate come last.
    """

    def rank(pod: Obj) -> tuple[bool, bool, str, str]:
        metadata = pod["metadata"]
        is_orphan = owner_uid(pod) not in daemon_sets
        terminates = bool(metadata.get("deletionTimestamp"))
        return not terminates, is_orphan, str(metadata.get("creationTimestamp", "")), str(metadata["name"])

    return max(pods, key=rank, default=None)


def read_driver_pod(pod: Obj, daemon_set: str | None) -> DriverPod:
    """daemon_set: the uid of the DaemonSet of the Node."""
    status = pod.get("status") or {}
    conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or ()}
    facts = parse_drain_pod(pod)
    return DriverPod(
        pod=facts,
        revision=labels_of(pod).get(REVISION, "") if owner_uid(pod) == daemon_set else "",
        is_ready=conditions.get("Ready") == "True" and not facts.is_terminating,
        problem=next(_problems(status), ""),
    )


def _problems(status: Mapping[str, Any]) -> Iterator[str]:
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in STUCK:
            yield f"container {each.get('name')}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
        elif not each.get("ready") and each.get("restartCount", 0) > MAX_RESTARTS:
            yield f"container {each.get('name')}: restarted {each['restartCount']} times"


def newest_revisions(daemon_sets: Iterable[Obj], revisions: Iterable[Obj]) -> Mapping[str, str]:
    """Returns uid of a DaemonSet -> its newest revision, for DaemonSets whose last change has a revision already."""
    newest: dict[str, tuple[int, str]] = {}
    for each in revisions:
        uid, label = owner_uid(each), labels_of(each).get(REVISION)
        if uid is not None and label:
            newest[uid] = max(newest.get(uid, (-1, "")), (int(each.get("revision", 0)), label))
    observed = {str(each["metadata"].get("uid")) for each in daemon_sets if _is_observed(each)}
    return {uid: label for uid, (_, label) in newest.items() if uid in observed}


def _is_observed(daemon_set: Obj) -> bool:
    observed = (daemon_set.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= daemon_set["metadata"].get("generation", 0))
