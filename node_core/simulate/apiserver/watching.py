"""What a watch sends: changes of one collection, as its selector sees them.

Source: Kubernetes API concepts, efficient detection of changes, watch bookmarks, streaming lists.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from node_core.simulate.apiserver.resources import Resource
from node_core.simulate.apiserver.selectors import Selection
from node_core.simulate.apiserver.status import ApiError, Obj
from node_core.simulate.apiserver.store import Event, Store

Render = Callable[[Obj], Obj]
"""From an object to what the client asked to see of it: itself, or a Table of one row."""

LOOK_SECONDS = 5.0
"""How often a quiet watch looks whether its client is still there."""

Stream = Iterator[tuple[str, Obj] | None]
"""Watch events; None while there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The part of a collection that a watch follows. namespace: "" for all."""

    resource: Resource
    namespace: str
    selection: Selection

    def has(self, obj: Obj | None) -> bool:
        if obj is None or (self.namespace and obj["metadata"].get("namespace") != self.namespace):
            return False
        return self.selection.matches(obj)

    def seen(self, event: Event) -> tuple[str, Obj] | None:
        """The event as this watch sees it: an object that comes to match is ADDED, one that ceases to is DELETED."""
        before, after = self.has(event.before), event.type != "DELETED" and self.has(event.object)
        if not before and not after:
            return None
        if not after:
            return "DELETED", self._last_seen(event)
        return ("MODIFIED" if before else "ADDED"), event.object

    def _last_seen(self, event: Event) -> Obj:
        last = event.before or event.object
        return {**last, "metadata": {**last["metadata"], "resourceVersion": str(event.version)}}


def bookmark(resource: Resource, version: int, *, initial_end: bool = False) -> tuple[str, Obj]:
    metadata: Obj = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return "BOOKMARK", {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


class Follower:
    """One watch, read from the store's history until it is over."""

    def __init__(
        self, store: Store, watched: Watched, stopping: Callable[[], bool], *, seconds: float, bookmark_seconds: float
    ) -> None:
        self._store = store
        self._bookmark_seconds = bookmark_seconds
        self._watched = watched
        self._deadline = time.monotonic() + seconds
        self._stopping = stopping

    def run(self, version: str, *, initial: bool, bookmarks: bool, ends: bool) -> Stream:
        """initial: first everything there is. ends: say with a bookmark where that ends."""
        since = int(version or 0)
        if initial:
            items, since = self._store.list(self._watched.resource.name)
            yield from (("ADDED", item) for item in items if self._watched.has(item))
            if ends and bookmarks:
                yield bookmark(self._watched.resource, since, initial_end=True)
        try:
            yield from self._follow(since or self._store.version, bookmarks=bookmarks)
        except ApiError as error:
            yield "ERROR", error.body()

    def _follow(self, since: int, *, bookmarks: bool) -> Stream:
        next_mark = time.monotonic() + self._bookmark_seconds
        while (left := self._deadline - time.monotonic()) > 0 and not self._stopping():
            wait = min(left, LOOK_SECONDS, next_mark - time.monotonic() if bookmarks else left)
            watched = {self._watched.resource.name}
            events, since = self._store.events(watched, since, timeout=wait, interrupted=self._stopping)
            yield from filter(None, map(self._watched.seen, events))
            if bookmarks and time.monotonic() >= next_mark:
                yield bookmark(self._watched.resource, since)
                next_mark = time.monotonic() + self._bookmark_seconds
            yield None
        if bookmarks and not self._stopping():
            yield bookmark(self._watched.resource, since)
