"""Watches: the changes of one collection that match a selector.

Source: Kubernetes API concepts, efficient detection of changes, watch bookmarks, streaming lists.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulation.apiserver.resources import Resource
from simulation.apiserver.selectors import Selection
from simulation.apiserver.status import ApiError, Obj
from simulation.apiserver.store import Event, Store

Render = Callable[[Obj], Obj]
"""Converts an object to the format of the client: the object, or a Table with one row."""

CLIENT_CHECK_SECONDS = 5.0
"""How often a watch without events checks whether the client is connected."""

Stream = Iterator[tuple[str, Obj] | None]
"""Watch events. None: there is no event, check the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchScope:
    """The objects that a watch reports. namespace: "" for all namespaces."""

    resource: Resource
    namespace: str
    selection: Selection

    def contains(self, obj: Obj | None) -> bool:
        if obj is None or (self.namespace and obj["metadata"].get("namespace") != self.namespace):
            return False
        return self.selection.matches(obj)

    def translate(self, event: Event) -> tuple[str, Obj] | None:
        """Returns the event of this watch: ADDED for an object that starts to match, DELETED for one that stops to match."""
        before, after = self.contains(event.before), event.type != "DELETED" and self.contains(event.object)
        if not before and not after:
            return None
        if after:
            return ("MODIFIED" if before else "ADDED"), event.object
        last = event.before or event.object
        return "DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": str(event.version)}}


def bookmark(resource: Resource, version: int, *, initial_end: bool = False) -> tuple[str, Obj]:
    metadata: Obj = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return "BOOKMARK", {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


class Watch:
    """One watch. Reads the history of the store until the timeout."""

    def __init__(
        self, store: Store, scope: WatchScope, stopping: Callable[[], bool], *, seconds: float, bookmark_seconds: float
    ) -> None:
        self._store = store
        self._bookmark_seconds = bookmark_seconds
        self._scope = scope
        self._deadline = time.monotonic() + seconds
        self._stopping = stopping

    def run(self, version: str, *, initial_events: bool, bookmarks: bool, mark_initial_end: bool) -> Stream:
        """Yields the events. initial_events: start with all existing objects. mark_initial_end: send a bookmark after them."""
        since = int(version or 0)
        if initial_events:
            items, since = self._store.list(self._scope.resource.name)
            yield from (("ADDED", item) for item in items if self._scope.contains(item))
            if mark_initial_end and bookmarks:
                yield bookmark(self._scope.resource, since, initial_end=True)
        try:
            yield from self._follow(since or self._store.version, bookmarks=bookmarks)
        except ApiError as error:
            yield "ERROR", error.body()

    def _follow(self, since: int, *, bookmarks: bool) -> Stream:
        next_mark = time.monotonic() + self._bookmark_seconds
        while (left := self._deadline - time.monotonic()) > 0 and not self._stopping():
            wait = min(left, CLIENT_CHECK_SECONDS, next_mark - time.monotonic() if bookmarks else left)
            resources = {self._scope.resource.name}
            events, since = self._store.events(resources, since, timeout=wait, interrupted=self._stopping)
            yield from filter(None, map(self._scope.translate, events))
            if bookmarks and time.monotonic() >= next_mark:
                yield bookmark(self._scope.resource, since)
                next_mark = time.monotonic() + self._bookmark_seconds
            yield None
        if bookmarks and not self._stopping():
            yield bookmark(self._scope.resource, since)
