"""The current objects of the cluster, from one informer for Nodes and one for Pods, and what changed in the health of each Node."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gpunode.cluster.lists import NODES, PODS, UNFINISHED, Kind, explain
from node_core.domain.conditions import GPU_READY
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resources import Resource
from node_core.scheduling.objects import ApiStruct, Condition, Node, Pod

MAX_OBJECTS = 200_000
"""A person's machine has more memory than an agent."""
MAX_CHANGES = 100
"""Health changes of one Node that are remembered."""


NODE_RESOURCE: Resource[Node] = Resource(
    description=NODES.name, path=NODES.path, parse=lambda obj, _: msgspec.convert(obj, Node), max_objects=MAX_OBJECTS
)
POD_RESOURCE: Resource[Pod] = Resource(
    description=PODS.name,
    path=PODS.path,
    parse=lambda obj, _: msgspec.convert(obj, Pod),
    selector={"fieldSelector": UNFINISHED},
    max_objects=MAX_OBJECTS,
)


class HealthChange(ApiStruct, frozen=True):
    """at: RFC 3339. status: of the condition GPUReady."""

    at: str
    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """version: increases with each change. nodes: by name. pods: by `namespace/name`, without finished Pods.

    problems: collection -> why it is not current. is_complete: both collections have been listed.
    """

    version: int = 0
    nodes: Mapping[str, Node] = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    health: Mapping[str, tuple[HealthChange, ...]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = False


class ClusterFeed:
    """Follows the cluster between `start` and `stop`. on_change: called in any thread after each change."""

    def __init__(self, api: ApiClient, on_change: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._version = 0
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._problems: dict[str, str] = {}
        self._health: dict[str, deque[HealthChange]] = {}
        self._informers = (self._informer(api, NODES, NODE_RESOURCE), self._informer(api, PODS, POD_RESOURCE))

    def start(self) -> None:
        for informer in self._informers:
            informer.start()

    def stop(self) -> None:
        for informer in self._informers:
            informer.stop()

    @property
    def version(self) -> int:
        return self._version

    def snapshot(self) -> Snapshot:
        with self._lock:
            return Snapshot(
                version=self._version,
                nodes=self._objects.get(NODES.name, {}),
                pods=self._objects.get(PODS.name, {}),
                health={name: tuple(changes) for name, changes in self._health.items()},
                problems=dict(self._problems),
                is_complete=len(self._objects) == len(self._informers),
            )

    def _informer(self, api: ApiClient, kind: Kind, resource: Resource[Any]) -> Informer[Any]:
        return Informer(
            api,
            resource,
            on_change=lambda objects: self._replace(kind.name, objects),
            on_error=lambda error: self._fail(kind, error),
        )

    def _replace(self, kind: str, objects: Mapping[str, Any]) -> None:
        with self._lock:
            is_changed = kind in self._problems or not is_equal(self._objects.get(kind), objects)
            self._objects[kind] = objects
            self._problems.pop(kind, None)
            if not is_changed:
                return
            if kind == NODES.name:
                self._record_health(objects)
            self._version += 1
        self._on_change()

    def _fail(self, kind: Kind, error: KubeError) -> None:
        with self._lock:
            verb = "watch" if kind.name in self._objects else "list"
            self._problems[kind.name] = str(explain(error, kind, verb, {}))
            self._version += 1
        self._on_change()

    def _record_health(self, nodes: Mapping[str, Node]) -> None:
        self._health = {name: changes for name, changes in self._health.items() if name in nodes}
        for name, node in nodes.items():
            if (condition := node.condition(GPU_READY)) is not None:
                self._record(self._health.setdefault(name, deque(maxlen=MAX_CHANGES)), condition)

    def _record(self, changes: deque[HealthChange], condition: Condition) -> None:
        latest = changes[-1] if changes else None
        if latest is None or (latest.status, latest.reason, latest.message) != (
            condition.status,
            condition.reason,
            condition.message,
        ):
            at = condition.since if latest is None else _timestamp(self._clock())
            changes.append(
                HealthChange(at=at, status=condition.status, reason=condition.reason, message=condition.message)
            )


def is_equal(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Whether the parsed objects are equal. The heartbeats of kubelets change thousands of Nodes, but none of their parsed fields."""
    if old is None or old.keys() != new.keys():
        return False
    return all(each is old[key] or each == old[key] for key, each in new.items())


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
