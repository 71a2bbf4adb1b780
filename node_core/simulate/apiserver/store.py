"""Objects in memory, one counter of versions, and a bounded history that watches read. Thread-safe.

Source: Kubernetes API concepts, resource versions and efficient detection of changes.
"""

import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from node_core.simulate.apiserver.status import ApiError, Obj, already_exists, conflict, expired, not_found

Clock = Callable[[], datetime]
Change = Callable[[Obj], Obj]
"""From the object as it is to the object as it shall be. It gets a copy and may raise ApiError."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change. type: ADDED, MODIFIED or DELETED. before: the object it replaced, None for ADDED. Neither object may be changed."""

    type: str
    resource: str
    version: int
    object: Obj
    before: Obj | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """All that there was at a version."""

    objects: Mapping[tuple[str, str, str], Obj]
    version: int


class Store:
    """Objects by (resource, namespace, name). resource: the plural with its group; namespace: "" for what has none.

    What comes out is a copy. history: how many changes a watch may lag behind before it gets 410.
    """

    def __init__(self, *, history: int = 4096, clock: Clock = utc_now) -> None:
        self.clock = clock
        self._objects: dict[tuple[str, str, str], Obj] = {}
        self._version = 1
        self._forgotten = 1
        self._history: deque[Event] = deque()
        self._most = history
        self._changed = threading.Condition(threading.RLock())

    @property
    def version(self) -> int:
        with self._changed:
            return self._version

    @property
    def oldest(self) -> int:
        """The version up to which the history is forgotten."""
        with self._changed:
            return self._forgotten

    def get(self, resource: str, name: str, namespace: str = "") -> Obj:
        """Raises ApiError 404."""
        with self._changed:
            return _copy(self._find(resource, namespace, name))

    def list(self, resource: str, namespace: str | None = None) -> tuple[list[Obj], int]:
        """The objects by namespace and name, of all namespaces for None, and the version at which that was so."""
        with self._changed:
            found = sorted(key for key in self._objects if key[0] == resource and namespace in (None, key[1]))
            return [_copy(self._objects[key]) for key in found], self._version

    def create(self, resource: str, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Raises ApiError 409 AlreadyExists. uid, creationTimestamp and resourceVersion are set here."""
        metadata = obj["metadata"]
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        with self._changed:
            if key in self._objects:
                raise already_exists(resource, metadata["name"])
            born = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(self.clock())}
            new = {**obj, "metadata": metadata | born}
            return _copy(new if dry_run else self._save("ADDED", key, new, None))

    def mutate(self, resource: str, name: str, change: Change, *, namespace: str = "", dry_run: bool = False) -> Obj:
        """Read, change and write as one step; no new version when the change changes nothing.

        An object with deletionTimestamp goes for good when its last finalizer goes. Raises ApiError 404, and 409 when the change
        left another resourceVersion or uid in the object than it has.
        """
        key = (resource, namespace, name)
        with self._changed:
            old = self._find(*key)
            new = _copy(change(_copy(old)))
            _refuse_stale(resource, old, new)
            if new == old or dry_run:
                return new
            if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
                return _copy(self._remove(key, new))
            return _copy(self._save("MODIFIED", key, new, old))

    def delete(
        self, resource: str, name: str, *, namespace: str = "", check: Change | None = None, dry_run: bool = False
    ) -> Obj:
        """The object as it went. With finalizers it only gets a deletionTimestamp. check: raises ApiError to refuse."""
        key = (resource, namespace, name)
        with self._changed:
            old = self._find(*key)
            if check is not None:
                check(_copy(old))
            if dry_run:
                return _copy(old)
            if not old["metadata"].get("finalizers"):
                return _copy(self._remove(key, old))
            return self.mutate(resource, name, self._mark_deleted, namespace=namespace)

    def events(
        self, resources: Collection[str], after: int, *, timeout: float, interrupted: Callable[[], bool] = lambda: False
    ) -> tuple[tuple[Event, ...], int]:
        """The changes of these resources since a version, waiting up to `timeout` seconds for the first change of anything.

        With them comes the version up to which that is all. interrupted: ends the wait; see `wake`. Raises ApiError 410 when the
        history does not reach back so far, or when the version is not from this store.
        """
        with self._changed:
            if after > self._version:
                raise expired(after, self._forgotten)
            self._changed.wait_for(lambda: self._version > after or interrupted(), timeout)
            if self._forgotten > after:
                raise expired(after, self._forgotten)
            return tuple(event for event in self._since(after) if event.resource in resources), self._version

    def wake(self) -> None:
        """Lets every waiting `events` call ask again whether it is interrupted."""
        with self._changed:
            self._changed.notify_all()

    def compact(self) -> None:
        """Forgets all history, as etcd's compaction does: older watches get 410."""
        with self._changed:
            self._history.clear()
            self._forgotten = self._version

    def backup(self) -> Backup:
        with self._changed:
            return Backup(objects=dict(self._objects), version=self._version)

    def restore(self, backup: Backup) -> None:
        """As when etcd is restored from a snapshot: versions count on from then, and what was written since is lost."""
        with self._changed:
            self._objects, self._version = dict(backup.objects), backup.version
            self.compact()

    def _since(self, version: int) -> tuple[Event, ...]:
        recent: deque[Event] = deque()
        for event in reversed(self._history):
            if event.version <= version:
                break
            recent.appendleft(event)
        return tuple(recent)

    def _find(self, resource: str, namespace: str, name: str) -> Obj:
        try:
            return self._objects[resource, namespace, name]
        except KeyError:
            raise not_found(resource, name) from None

    def _save(self, kind: str, key: tuple[str, str, str], new: Obj, old: Obj | None) -> Obj:
        self._version += 1
        stored = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self._version)}}
        if kind == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = stored
        self._history.append(Event(type=kind, resource=key[0], version=self._version, object=stored, before=old))
        while len(self._history) > self._most:
            self._forgotten = self._history.popleft().version
        self._changed.notify_all()
        return stored

    def _remove(self, key: tuple[str, str, str], last: Obj) -> Obj:
        return self._save("DELETED", key, last, self._objects[key])

    def _mark_deleted(self, obj: Obj) -> Obj:
        marks = {"deletionTimestamp": timestamp(self.clock()), "deletionGracePeriodSeconds": 0}
        return {**obj, "metadata": marks | obj["metadata"]}


def _refuse_stale(resource: str, old: Obj, new: Obj) -> None:
    for field in ("resourceVersion", "uid"):
        if new["metadata"].get(field) not in (None, "", old["metadata"][field]):
            raise _stale(resource, old, new, field)
        new["metadata"][field] = old["metadata"][field]


def _stale(resource: str, old: Obj, new: Obj, field: str) -> ApiError:
    if field == "resourceVersion":
        return conflict(resource, old["metadata"]["name"])
    wanted, has = new["metadata"]["uid"], old["metadata"]["uid"]
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {has}"
    return conflict(resource, old["metadata"]["name"], why)


def _copy(obj: Obj) -> Obj:
    """Objects are JSON, and this is the fastest copy of JSON."""
    copied: Obj = json.loads(json.dumps(obj))
    return copied
