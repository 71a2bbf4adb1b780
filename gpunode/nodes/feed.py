"""Follows Nodes, and the Pods that have devices, with one informer for each."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gpunode.cluster.fleet import Holder, select_holders
from gpunode.cluster.lists import NODES, PODS, UNFINISHED, Kind, explain
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resources import Obj, Resource
from node_core.scheduling.objects import Node, Pod

MAX_OBJECTS = 200_000
"""A person's machine has more memory than an agent."""

Holding = Mapping[str, list[Holder]]
"""Node -> its Pods that have devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why the state is not current. since: Unix seconds."""

    error: KubeError
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """nodes: by name. pods: `namespace/name` -> the Node of a Pod with devices, and the Pod. is_complete: all objects have been listed."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    pods: Mapping[str, Holding] = field(default_factory=dict)
    problem: Problem | None = None
    is_complete: bool = False

    def holders(self) -> Holding:
        holders: dict[str, list[Holder]] = {}
        for _, placed in sorted(self.pods.items()):
            for name, pods in placed.items():
                holders.setdefault(name, []).extend(pods)
        return holders


class FleetFeed:
    """Follows the cluster between `start` and `stop`. selector: a label selector of Nodes. clock: Unix seconds."""

    def __init__(self, api: ApiClient, selector: str = "", clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._problems: dict[str, Problem] = {}
        self._informers = (self._informer(api, NODES, watched_nodes(selector)), self._informer(api, PODS, WATCHED_PODS))

    def start(self) -> None:
        for informer in self._informers:
            informer.start()

    def stop(self) -> None:
        for informer in self._informers:
            informer.stop()

    def wait_for_lists(self) -> None:
        """Waits until all objects have been listed. Raises KubeError after the first failure before."""
        while not (state := self.state()).is_complete:
            if state.problem is not None:
                raise state.problem.error
            self._changed.wait()
            self._changed.clear()

    def state(self) -> FleetState:
        with self._lock:
            return FleetState(
                nodes=self._objects.get(NODES.name, {}),
                pods=self._objects.get(PODS.name, {}),
                problem=min(self._problems.values(), key=lambda each: each.since, default=None),
                is_complete=len(self._objects) == len(self._informers),
            )

    def _informer(self, api: ApiClient, kind: Kind, resource: Resource[Any]) -> Informer[Any]:
        return Informer(
            api,
            resource,
            on_change=lambda objects: self._replace(kind, objects),
            on_error=lambda error: self._fail(kind, error, resource.selector),
        )

    def _replace(self, kind: Kind, objects: Mapping[str, Any]) -> None:
        with self._lock:
            self._objects[kind.name] = objects
            self._problems.pop(kind.name, None)
        self._changed.set()

    def _fail(self, kind: Kind, error: KubeError, selector: Mapping[str, str]) -> None:
        with self._lock:
            earlier = self._problems.get(kind.name)
            explained = explain(error, kind, "watch" if kind.name in self._objects else "list", selector)
            since = self._clock() if earlier is None else earlier.since
            self._problems[kind.name] = Problem(error=explained, since=since)
        self._changed.set()


def watched_nodes(selector: str) -> Resource[Node]:
    return Resource(
        description=NODES.name,
        path=NODES.path,
        parse=lambda obj, _: msgspec.convert(obj, Node),
        selector={"labelSelector": selector} if selector else {},
        max_objects=MAX_OBJECTS,
    )


def _holding_of(obj: Obj, _: int) -> Holding | None:
    """Returns the Node and the devices of a Pod; None for the many Pods without devices."""
    return select_holders([msgspec.convert(obj, Pod)]) or None


WATCHED_PODS: Resource[Holding | None] = Resource(
    description=PODS.name,
    path=PODS.path,
    parse=_holding_of,
    selector={"fieldSelector": UNFINISHED},
    max_objects=MAX_OBJECTS,
)
