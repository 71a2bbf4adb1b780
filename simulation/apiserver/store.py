"""Objects in memory, one version counter, and a bounded history for watches. Thread-safe.

Source: Kubernetes API concepts, resource versions and efficient detection of changes.
"""

import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from simulation.apiserver.status import ApiError, Obj, already_exists, conflict, expired, not_found

Clock = Callable[[], datetime]
Change = Callable[[Obj], Obj]
"""Returns the new object for the current one. The argument is a copy. May raise ApiError."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp(time: datetime) -> str:
    """Formats a time in UTC as RFC 3339 with whole seconds, as metav1.Time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change. type: ADDED, MODIFIED or DELETED. before: the previous object; None for ADDED. Do not change the objects.

    manager: the field manager of the write; "" if the writer has no name.
    """

    type: str
    resource: str
    version: int
    object: Obj
    before: Obj | None
    manager: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """All objects at a version."""

    objects: Mapping[tuple[str, str, str], Obj]
    version: int


class Store:
    """Objects by (resource, namespace, name). resource: `plural.group`. namespace: "" for a resource without namespaces.

    All returned objects are copies, except those of `view` and `events`. history: how many changes a watch may lag behind before it fails
    with 410.
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
        """The version up to which the history is compacted."""
        with self._changed:
            return self._forgotten

    def get(self, resource: str, name: str, namespace: str = "") -> Obj:
        """Returns an object. Raises ApiError 404."""
        with self._changed:
            return _copy(self._find(resource, namespace, name))

    def view(self, resource: str, namespace: str | None = None) -> tuple[list[Obj], int]:
        """Returns the same as `list`, without copies: a request may need few of many objects. Do not change the objects."""
        with self._changed:
            keys = sorted(key for key in self._objects if key[0] == resource and namespace in (None, key[1]))
            return [self._objects[key] for key in keys], self._version

    def list(self, resource: str, namespace: str | None = None) -> tuple[list[Obj], int]:
        """Returns the objects sorted by namespace and name, and the version of the list. namespace: None for all namespaces."""
        objects, version = self.view(resource, namespace)
        return [_copy(each) for each in objects], version

    def create(self, resource: str, obj: Obj, *, manager: str = "") -> Obj:
        """Stores a new object with a uid, a creationTimestamp and a resourceVersion. Raises ApiError 409 AlreadyExists.

        manager: see Event; also of `mutate` and `delete`.
        """
        metadata = obj["metadata"]
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        with self._changed:
            if key in self._objects:
                raise already_exists(resource, metadata["name"])
            born = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(self.clock())}
            new = {**obj, "metadata": metadata | born}
            return _copy(self._save("ADDED", key, new, None, manager))

    def mutate(self, resource: str, name: str, change: Change, *, namespace: str = "", manager: str = "") -> Obj:
        """Reads, changes and writes an object atomically. An object that does not change gets no new version.

        Raises ApiError 404, and 409 if the changed object has another resourceVersion or uid than the stored object.
        """
        key = (resource, namespace, name)
        with self._changed:
            old = self._find(*key)
            new = _copy(change(_copy(old)))
            _refuse_stale(resource, old, new)
            return new if new == old else _copy(self._save("MODIFIED", key, new, old, manager))

    def delete(
        self, resource: str, name: str, *, namespace: str = "", check: Change | None = None, manager: str = ""
    ) -> Obj:
        """Deletes an object and returns its last state. check: raises ApiError to prevent the deletion."""
        key = (resource, namespace, name)
        with self._changed:
            old = self._find(*key)
            if check is not None:
                check(_copy(old))
            return _copy(self._save("DELETED", key, old, old, manager))

    def events(
        self, resources: Collection[str], after: int, *, timeout: float, interrupted: Callable[[], bool] = lambda: False
    ) -> tuple[tuple[Event, ...], int]:
        """Returns the changes of the resources since the version `after`, and the version of the last change that was considered.

        Waits up to `timeout` seconds for a change of any resource. interrupted: ends the wait; see `wake`. Raises ApiError 410 if the
        history does not contain the version.
        """
        with self._changed:
            if after > self._version:
                raise expired(after, self._forgotten)
            self._changed.wait_for(lambda: self._version > after or interrupted(), timeout)
            if self._forgotten > after:
                raise expired(after, self._forgotten)
            return tuple(event for event in self._since(after) if event.resource in resources), self._version

    def wait_for_change(
        self, resources: Collection[str], after: int, *, timeout: float, interrupted: Callable[[], bool]
    ) -> None:
        """Waits for a change of the resources since the version `after`, for `timeout` seconds, or until `interrupted`; see `wake`."""

        def has_changed() -> bool:
            return self._forgotten > after or any(event.resource in resources for event in self._since(after))

        with self._changed:
            self._changed.wait_for(lambda: interrupted() or has_changed(), timeout)

    def wake(self) -> None:
        """Makes all waiting calls check `interrupted`."""
        with self._changed:
            self._changed.notify_all()

    def compact(self) -> None:
        """Discards the history, as a compaction of etcd. Watches from older versions fail with 410."""
        with self._changed:
            self._history.clear()
            self._forgotten = self._version

    def backup(self) -> Backup:
        with self._changed:
            return Backup(objects=dict(self._objects), version=self._version)

    def restore(self, backup: Backup) -> None:
        """Restores a backup as etcd restores a snapshot: later writes are lost, and versions continue from the version of the backup."""
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

    def _save(self, kind: str, key: tuple[str, str, str], new: Obj, old: Obj | None, manager: str) -> Obj:
        self._version += 1
        stored = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self._version)}}
        if kind == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = stored
        self._history.append(
            Event(type=kind, resource=key[0], version=self._version, object=stored, before=old, manager=manager)
        )
        while len(self._history) > self._most:
            self._forgotten = self._history.popleft().version
        self._changed.notify_all()
        return stored


def _refuse_stale(resource: str, old: Obj, new: Obj) -> None:
    for field in ("resourceVersion", "uid"):
        if new["metadata"].get(field) not in (None, "", old["metadata"][field]):
            raise _stale(resource, old, new, field)
        new["metadata"][field] = old["metadata"][field]


def _stale(resource: str, old: Obj, new: Obj, field: str) -> ApiError:
    if field == "resourceVersion":
        return conflict(resource, old["metadata"]["name"])
    given_uid, stored_uid = new["metadata"]["uid"], old["metadata"]["uid"]
    why = f"Precondition failed: UID in precondition: {given_uid}, UID in object meta: {stored_uid}"
    return conflict(resource, old["metadata"]["name"], why)


def _copy(obj: Obj) -> Obj:
    """Copies a JSON object. This is faster than copy.deepcopy."""
    copied: Obj = json.loads(json.dumps(obj))
    return copied
