"""The current Nodes, and the current Pods that request devices or install drivers, from one informer for each kind.

If the GPUs of a Node can come from ResourceSlices, the feed also follows ResourceSlices and ResourceClaims.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gpu_core.pods.resource_slices import ResourceSlice
from gpunode.cluster.claim_feed import CLAIMS, SLICES, ClaimFeed
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.cluster.claimed_node import lacks_devices
from gpunode.cluster.claims import describe_refusal
from gpunode.cluster.fleet import NodePod, describe_pod
from gpunode.cluster.lists import NODES, PODS, UNFINISHED, Kind, explain
from gpunode.cluster.objects import DetailedPod
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resource_claims import GROUP
from node_core.kube.resources import Obj, Resource
from node_core.scheduling.objects import ApiStruct, Node, Pod

MAX_OBJECTS = 200_000
"""A person's machine has more memory than an agent."""


class DevicePod(ApiStruct, frozen=True):
    """A Pod that requests devices or has claims, and has not ended, or a driver pod.

    described: its devices, or the state of the driver; None if the Pod has only claims.
    """

    pod: Pod
    described: NodePod | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why objects are not current. since: Unix seconds of the first failure."""

    error: KubeError
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """version: increases with each change. nodes: by name. pods: by `namespace/name`.

    problems: nodes, pods, resourceslices or resourceclaims -> why they are not current. is_complete: all kinds have been listed. slices,
    claims: of the driver gpu.nvidia.com, by name or `namespace/name`; empty if no Node needs them. claim_problem: the missing right to list
    them, in a sentence; else empty.
    """

    version: int = 0
    nodes: Mapping[str, Node] = field(default_factory=dict)
    pods: Mapping[str, DevicePod] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    is_complete: bool = False
    slices: Mapping[str, ResourceSlice] = field(default_factory=dict)
    claims: Mapping[str, ResourceClaim] = field(default_factory=dict)
    claim_problem: str = ""

    @property
    def first_problem(self) -> Problem | None:
        return min(self.problems.values(), key=lambda each: each.since, default=None)

    def pods_by_node(self) -> dict[str, list[NodePod]]:
        """Returns Node -> its Pods that have devices and its driver pods, by name."""
        found: dict[str, list[NodePod]] = {}
        for _, each in sorted(self.pods.items()):
            if (name := each.pod.spec.node_name) and each.described is not None:
                found.setdefault(name, []).append(each.described)
        return found


Listener = Callable[[Snapshot], None]


class ClusterFeed:
    """Follows the cluster between `start` and `stop`.

    selector: a label selector of Nodes. listeners: called after each change, one at a time; they must not wait. clock: Unix seconds.
    """

    def __init__(
        self,
        api: ApiClient,
        *,
        selector: str = "",
        listeners: Iterable[Listener] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._listeners, self._clock = tuple(listeners), clock
        self._changed = threading.Condition()
        self._version = 0
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._problems: dict[str, Problem] = {}
        self._refusals: dict[str, KubeError] = {}
        self._informers = [
            self._informer(api, NODES, {"labelSelector": selector} if selector else {}, parse_node),
            self._informer(api, PODS, {"fieldSelector": UNFINISHED}, parse_pod),
        ]
        self._needed = {NODES.name, PODS.name}
        self._is_stopping = False
        self._claim_feed = ClaimFeed(
            api,
            lambda kind, query, parse: self._follow(self._informer(api, kind, query, parse)),
            self._fail_claims,
        )

    def start(self) -> None:
        for informer in tuple(self._informers):  # the first list of Nodes may add the informers of claims meanwhile
            informer.start()

    def stop(self) -> None:
        with self._changed:
            self._is_stopping = True
        self._claim_feed.stop()
        for informer in self._informers:
            informer.stop()

    @property
    def version(self) -> int:
        return self._version

    def wait_for_lists(self) -> None:
        """Waits until both kinds have been listed. Raises KubeError after the first failure before."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_complete() or self._problems)
            snapshot = self.snapshot()
        if not snapshot.is_complete and snapshot.first_problem is not None:
            raise snapshot.first_problem.error

    def snapshot(self) -> Snapshot:
        with self._changed:
            return Snapshot(
                version=self._version,
                nodes=self._objects.get(NODES.name, {}),
                pods=self._objects.get(PODS.name, {}),
                problems=dict(self._problems),
                is_complete=self._is_complete(),
                slices=self._objects.get(SLICES, {}),
                claims=self._objects.get(CLAIMS, {}),
                claim_problem=next((describe_refusal(each) for each in self._refusals.values()), ""),
            )

    def _is_complete(self) -> bool:
        return self._objects.keys() >= self._needed

    def _follow(self, informer: Informer[Any]) -> None:
        with self._changed:
            if self._is_stopping:
                return
            self._informers.append(informer)
        informer.start()

    def _need_claims(self) -> None:
        """Follows claims from the first Node that needs them."""
        if SLICES not in self._needed:
            self._needed |= {SLICES, CLAIMS}
            self._claim_feed.start()

    def _fail_claims(self, error: KubeError) -> None:
        """Handles an error before the informers. A cluster without resource.k8s.io has no claims."""
        kinds = [Kind(path=GROUP, name=each) for each in (SLICES, CLAIMS)]
        for kind in kinds:
            if error.status == 404:
                self._replace(kind.name, {})
            else:
                self._fail(kind, error, {})

    def _informer(
        self, api: ApiClient, kind: Kind, selector: Mapping[str, str], parse: Callable[[Obj, int], Any]
    ) -> Informer[Any]:
        return Informer(
            api,
            Resource(description=kind.name, path=kind.path, parse=parse, selector=selector, max_objects=MAX_OBJECTS),
            on_change=lambda objects: self._replace(kind.name, objects),
            on_error=lambda error: self._fail(kind, error, selector),
        )

    def _replace(self, kind: str, objects: Mapping[str, Any]) -> None:
        with self._changed:
            is_changed = kind in self._problems or not is_equal(self._objects.get(kind), objects)
            self._objects[kind] = objects
            self._problems.pop(kind, None)
            is_changed |= self._refusals.pop(kind, None) is not None
            if kind == NODES.name and is_changed and any(map(lacks_devices, objects.values())):
                self._need_claims()
            if is_changed:
                self._publish()

    def _fail(self, kind: Kind, error: KubeError, selector: Mapping[str, str]) -> None:
        with self._changed:
            earlier = self._problems.get(kind.name)
            explained = explain(error, kind, "watch" if kind.name in self._objects else "list", selector)
            if kind.name in (SLICES, CLAIMS) and error.status == 403:
                self._refusals[kind.name] = explained
                self._objects.setdefault(kind.name, {})
                self._problems.pop(kind.name, None)
            else:
                since = self._clock() if earlier is None else earlier.since
                self._problems[kind.name] = Problem(error=explained, since=since)
            self._publish()

    def _publish(self) -> None:
        self._version += 1
        self._changed.notify_all()
        snapshot = self.snapshot()
        for listener in self._listeners:
            listener(snapshot)


def parse_node(obj: Obj, _: int) -> Node:
    return msgspec.convert(obj, Node)


def parse_pod(obj: Obj, _: int) -> DevicePod | None:
    """Returns None for the many other Pods."""
    pod = msgspec.convert(obj, DetailedPod)
    described = describe_pod(pod)
    has_claims = bool(pod.spec.resource_claims or pod.status.extended_resource_claim_status)
    is_relevant = described is not None or (has_claims and not pod.is_finished)
    return DevicePod(pod=pod, described=described) if is_relevant else None


def is_equal(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Whether the parsed objects are equal. The heartbeats of kubelets change thousands of Nodes, but none of their parsed fields."""
    if old is None or old.keys() != new.keys():
        return False
    return all(each is old[key] or each == old[key] for key, each in new.items())
