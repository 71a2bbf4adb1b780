"""The current Nodes, and the current Pods that request devices or install drivers, from one informer for each kind."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gpunode.cluster.fleet import NodePod, describe_pod
from gpunode.cluster.lists import NODES, PODS, UNFINISHED, Kind, explain
from gpunode.cluster.objects import DetailedPod
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resources import Obj, Resource
from node_core.scheduling.objects import ApiStruct, Node, Pod

MAX_OBJECTS = 200_000
"""A person's machine has more memory than an agent."""


class DevicePod(ApiStruct, frozen=True):
    """A Pod that requests devices, and has not ended, or a driver pod. described: its devices, or the state of the driver."""

    pod: Pod
    described: NodePod


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why objects are not current. since: Unix seconds of the first failure."""

    error: KubeError
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """version: increases with each change. nodes: by name. pods: by `namespace/name`.

    problems: nodes or pods -> why they are not current. is_complete: both kinds have been listed.
    """

    version: int = 0
    nodes: Mapping[str, Node] = field(default_factory=dict)
    pods: Mapping[str, DevicePod] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    is_complete: bool = False

    @property
    def first_problem(self) -> Problem | None:
        return min(self.problems.values(), key=lambda each: each.since, default=None)

    def pods_by_node(self) -> dict[str, list[NodePod]]:
        """Returns Node -> its Pods that have devices and its driver pods, by name."""
        found: dict[str, list[NodePod]] = {}
        for _, each in sorted(self.pods.items()):
            if name := each.pod.spec.node_name:
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
        self._informers = (
            self._informer(api, NODES, {"labelSelector": selector} if selector else {}, parse_node),
            self._informer(api, PODS, {"fieldSelector": UNFINISHED}, parse_pod),
        )

    def start(self) -> None:
        for informer in self._informers:
            informer.start()

    def stop(self) -> None:
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
            )

    def _is_complete(self) -> bool:
        return len(self._objects) == len(self._informers)

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
            if is_changed:
                self._publish()

    def _fail(self, kind: Kind, error: KubeError, selector: Mapping[str, str]) -> None:
        with self._changed:
            earlier = self._problems.get(kind.name)
            explained = explain(error, kind, "watch" if kind.name in self._objects else "list", selector)
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
    return None if described is None else DevicePod(pod=pod, described=described)


def is_equal(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Whether the parsed objects are equal. The heartbeats of kubelets change thousands of Nodes, but none of their parsed fields."""
    if old is None or old.keys() != new.keys():
        return False
    return all(each is old[key] or each == old[key] for key, each in new.items())
