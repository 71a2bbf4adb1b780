"""Caches the objects of one resource and reports their changes: one list, then watches, each from the last version of the one before.

The first watch starts from the resourceVersion of the list, and not from the resourceVersion of an object: the API server forgets old
versions, and rejects a watch from a forgotten version with 410. There are no periodic lists.
Source: Kubernetes API concepts, efficient detection of changes, retrieving large results sets in chunks.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic

import structlog

from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.http import JSON, METADATA, METADATA_LIST, ApiClient, EventStream, parse_response
from node_core.kube.resources import Obj, Resource, View

log = structlog.get_logger(__name__)

PAGE = 200
"""Maximum objects in one page of a list."""
WATCH_SECONDS = 540
"""Minimum duration of a watch. The next watch continues from its last version without a list."""
WATCH_SPREAD_SECONDS = 60
"""A random part of this time is added to the duration, so that the watches of many nodes do not end together."""
HEALTHY_SECONDS = 5.0
"""A watch that was open for this time resets the back-off."""
BRIEF_SECONDS = 1.0
"""After several watches that ended sooner than this, the informer waits with a back-off."""
MAX_REFUSALS = 6
"""After this number of consecutive 429 responses to a watch, which takes half a minute, the objects are listed again."""
STOP_SECONDS = 1.0
"""How long `stop` waits for the current request."""


class Informer(Generic[View]):
    """on_change: called with all objects after each list and each event, in the informer's thread. on_error: called after a failed list or
    watch, which is then repeated. An exception of a callback is logged. After an exception of on_change, the objects are listed again.

    backoff: delays after failures. missing_backoff: delays while the cluster does not have the kind. clock: monotonic seconds.
    """

    def __init__(
        self,
        api: ApiClient,
        resource: Resource[View],
        *,
        on_change: Callable[[Mapping[str, View]], None],
        on_error: Callable[[KubeError], None],
        backoff: Backoff | None = None,
        missing_backoff: Backoff | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self._api = api
        self._on_change = on_change
        self._on_error = on_error
        self._backoff = backoff or Backoff()
        self._missing_backoff = missing_backoff or self._backoff
        self._rng = rng or random.Random()  # nosec B311 # jitter
        self._clock = clock
        self._objects: Mapping[str, View] = {}
        self._lists = 0
        self._is_healthy = False
        self._stopping = threading.Event()
        self._stream: EventStream | None = None
        self._stream_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"informer {resource.description}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch at once. A request without response continues until its timeout, but is not reported."""
        self._stopping.set()
        with self._stream_lock:
            if self._stream is not None:
                self._stream.shutdown()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        """Returns a sentence if the thread has ended before `stop`, or else None. Callable from any thread."""
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()
        return f"the thread of {self._thread.name} has ended" if is_dead else None

    def list_objects(self) -> Mapping[str, View]:
        """Lists the objects once, for a process that does not watch. Raises KubeError, with status 404 if the cluster lacks the kind."""
        return self._list()[0]

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            error = self._list_and_watch()
            if self._stopping.is_set():
                return
            failures = 1 if self._is_healthy else failures + 1
            if error.status == 410 and failures == 1:
                continue  # the API server has forgotten the version: list again at once
            self._report(error)
            self._pause(failures, self._missing_backoff if error.status in self.resource.missing else self._backoff)

    def _list_and_watch(self) -> KubeError:
        """Lists and watches until an error, and returns the error."""
        self._is_healthy = False
        try:
            self._objects, version = self._list()
            if not self._stopping.is_set():
                self._on_change(self._objects)
                self._watch_from(version)
        except KubeError as error:
            return error
        except Exception as error:
            log.exception("informer_failed", of=self.resource.description)
            return KubeError(f"watch of {self.resource.description}: {type(error).__name__}: {error}")
        return KubeError(f"watch of {self.resource.description}: stopped")

    def _report(self, error: KubeError) -> None:
        try:
            self._on_error(error)
        except Exception:
            log.exception("informer_failed", of=self.resource.description)

    def _pause(self, failures: int, backoff: Backoff) -> None:
        self._stopping.wait(backoff.delay(failures, self._rng.random()))

    def _list(self) -> tuple[Mapping[str, View], str]:
        """Returns all objects and the version of the list."""
        objects: dict[str, View] = {}
        version = ""
        self._lists += 1
        for page in self._pages():
            objects |= parse_response(self._parse_page, page)
            version = parse_response(_version, page)
            if len(objects) > self.resource.max_objects:
                raise KubeError(
                    f"there are more than {self.resource.max_objects} {self.resource.description}",
                    hint="delete those that are not needed",
                )
        return objects, version

    def _parse_page(self, page: Obj) -> dict[str, View]:
        views = {object_key(obj): self.resource.parse(obj, self._lists) for obj in page.get("items") or ()}
        return {key: view for key, view in views.items() if view is not None}

    def _pages(self) -> Iterator[Obj]:
        query = {**self.resource.selector, "limit": str(PAGE)}
        while True:
            page = self._page(query)
            yield page
            if not (token := parse_response(_continuation, page)):
                return
            query["continue"] = token

    def _page(self, query: Mapping[str, str]) -> Obj:
        try:
            accept = METADATA_LIST if self.resource.has_only_metadata else JSON
            return self._api.request("GET", self.resource.path, query=query, accept=accept)
        except KubeError as error:
            if error.status != 404:
                raise
            message = f"the cluster does not know {self.resource.description}"
            raise KubeError(message, status=404, hint=self.resource.hint) from error

    def _watch_from(self, version: str) -> None:
        """Opens one watch after another until a watch fails."""
        brief = 0
        while not self._stopping.is_set():
            version, seconds = self._watch(version)
            brief = brief + 1 if seconds < BRIEF_SECONDS else 0
            if brief > 1:
                self._pause(brief, self._backoff)

    def _watch(self, version: str) -> tuple[str, float]:
        """Runs one watch. Returns the version for the next watch, and the seconds that this watch was open."""
        stream = self._open_watch(version)
        opened = self._clock()
        try:
            self._set_stream(stream)
            for event in stream:
                version = self._handle(event)
        finally:
            seconds = self._clock() - opened
            self._is_healthy = self._is_healthy or seconds >= HEALTHY_SECONDS
            self._set_stream(None)
            stream.close()
        return version, seconds

    def _open_watch(self, version: str) -> EventStream:
        """Opens a watch. Repeats a watch that a busy API server refuses: a list would cost more."""
        query = {**self.resource.selector, "resourceVersion": version}
        accept = METADATA if self.resource.has_only_metadata else JSON
        refusals = 0
        while True:
            seconds = WATCH_SECONDS + self._rng.randrange(WATCH_SPREAD_SECONDS)
            try:
                return self._api.watch(self.resource.path, query, seconds=seconds, accept=accept)
            except KubeError as error:
                refusals += 1
                if error.status != 429 or refusals == MAX_REFUSALS or self._stopping.is_set():
                    raise
            self._pause(refusals, self._backoff)

    def _set_stream(self, stream: EventStream | None) -> None:
        with self._stream_lock:
            self._stream = stream
            if stream is not None and self._stopping.is_set():
                stream.shutdown()

    def _handle(self, event: Mapping[str, Any]) -> str:
        """Applies an event. Returns the version for the next watch."""
        kind, obj = parse_response(_parse_type, event)
        if kind == "ERROR":
            raise parse_response(lambda status: _error_of(status, self.resource.description), obj)
        if kind != "BOOKMARK" and not self._stopping.is_set():
            self._objects = parse_response(lambda changed: self._with_event(kind, changed), obj)
            self._on_change(self._objects)
        return parse_response(_version, obj)

    def _with_event(self, kind: str, obj: Obj) -> Mapping[str, View]:
        """Returns a new mapping, because `on_change` has received the current one."""
        key = object_key(obj)
        view = None if kind == "DELETED" else self.resource.parse(obj, self._lists)
        if view is None and key not in self._objects:
            return self._objects
        objects = {other: each for other, each in self._objects.items() if other != key}
        return objects if view is None else {**objects, key: view}


def object_key(obj: Obj) -> str:
    """Returns `name`, or `namespace/name`."""
    metadata = obj["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace")
    if not isinstance(name, str):
        raise TypeError(f"the name {name!r} of an object is not text")
    return f"{namespace}/{name}" if namespace else name


def _version(obj: Obj) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _continuation(page: Obj) -> str:
    return str(page["metadata"].get("continue") or "")


def _parse_type(event: Obj) -> tuple[str, Obj]:
    return str(event["type"]), event["object"]


def _error_of(status: Obj, description: str) -> KubeError:
    """Returns the error for the Status object of an ERROR event."""
    return KubeError(
        f"watch of {description} ended: {status.get('reason')}: {status.get('message')}", status=int(status["code"])
    )
