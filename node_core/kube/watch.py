"""Follows one object or one collection: one read, then one watch that resumes where it ended. No periodic reads."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

import structlog
import urllib3.exceptions
from kubernetes.client import ApiException
from kubernetes.watch import Watch

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView, parse_node
from node_core.errors import KubeError
from node_core.kube.client import NodeApi, no_answer

log = structlog.get_logger(__name__)

WATCH_SECONDS = 540
"""How long a watch is asked to last. It resumes from its last resourceVersion, which is no read of the API."""

SETTLED = 5.0
"""Seconds after which a watch that is still open is a good one: what fails then starts the back-off anew."""

View = TypeVar("View")
View_co = TypeVar("View_co", covariant=True)


class Subject(Protocol[View_co]):
    """What is followed. shown: its kind and name, for messages. path: of its collection."""

    @property
    def shown(self) -> str: ...

    @property
    def path(self) -> str: ...

    def look(self) -> tuple[View_co, str]:
        """The state now, and the version from which to watch. Raises KubeError."""
        ...

    def open_watch(self, **query: Any) -> Any:
        """The answer to a watch, unread."""
        ...

    def state(self, event: str, obj: Mapping[str, Any]) -> View_co:
        """The state after an event. Raises KubeError when there is nothing to follow any more."""
        ...


class ObjectWatch(Generic[View]):
    """Calls `seen` with each new state and `failed` when it cannot be followed. Runs in its own daemon thread.

    absent: how long to wait after a 404, where that is no failure; None: as after any other error.
    """

    def __init__(
        self,
        subject: Subject[View],
        *,
        seen: Callable[[View], None],
        failed: Callable[[KubeError], None],
        backoff: Backoff | None = None,
        absent: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._subject = subject
        self._seen = seen
        self._failed = failed
        self._backoff = backoff or Backoff()
        self._absent = absent or self._backoff
        self._rng = rng or random.Random()  # nosec B311 # jitter
        self._settled = False
        self._stopping = threading.Event()
        self._watch = Watch(return_type="object")
        self._thread = threading.Thread(target=self._run, name=f"watch {subject.shown}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch; an answer that is being waited for is cut off, again if it was only being opened when we tried."""
        self._stopping.set()
        for _ in range(20):
            self._watch.stop()
            self._thread.join(timeout=0.05)
            if not self._thread.is_alive():
                return

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            error = self._follow()
            if self._stopping.is_set():
                return
            failures = 1 if self._settled else failures + 1
            if error.status == 410 and failures == 1:
                continue  # the history is gone: look again at once
            self._failed(error)
            self._pause(failures, self._absent if error.status == 404 else self._backoff)

    def _follow(self) -> KubeError:
        """Looks once and watches from there, until the reason that it returns."""
        self._settled = False
        try:
            view, version = self._subject.look()
            self._seen(view)
            brief = 0
            while not self._stopping.is_set():
                began = time.monotonic()
                version = self._watch_from(version)
                brief = 0 if time.monotonic() - began > 1 else brief + 1
                if brief > 1:  # a server that ends every watch at once must not be asked without end
                    self._pause(brief, self._backoff)
        except KubeError as error:
            return error
        except Exception as error:
            log.exception("watch_failed", of=self._subject.shown)
            return KubeError(f"watch of {self._subject.shown}: {type(error).__name__}: {error}")
        return KubeError("the watch was stopped")

    def _take(self, events: Iterable[Any]) -> None:
        for event in events:
            if event is None:
                raise KubeError(f"watch of {self._subject.shown}: an event that is not JSON")
            if event["type"] != "BOOKMARK":
                self._seen(self._subject.state(event["type"], event["object"]))
            self._settled = True

    def _pause(self, failures: int, backoff: Backoff) -> None:
        self._stopping.wait(backoff.delay(failures, self._rng.random()))

    def _watch_from(self, version: str) -> str:
        """One watch request; the version to resume from."""
        self._watch.resource_version = version
        began = time.monotonic()
        seconds = WATCH_SECONDS + self._rng.randrange(60)
        try:
            asked = self._watch.stream(self._subject.open_watch, resource_version=version, timeout_seconds=seconds)
            with contextlib.closing(asked) as events:  # an error on the way must not keep the connection
                self._take(events)
        except ApiException as error:
            raise KubeError(
                f"watch of {self._subject.shown} ended: {error.reason}", status=error.status or 0
            ) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise no_answer("GET", f"{self._subject.path}?watch=true", error) from error
        finally:
            self._settled = self._settled or time.monotonic() - began > SETTLED
        return str(self._watch.resource_version)


class NodeWatch(ObjectWatch[NodeView]):
    """Follows our Node. One that is deleted is an error, and followed again when it is back."""

    def __init__(
        self,
        api: NodeApi,
        *,
        seen: Callable[[NodeView], None],
        failed: Callable[[KubeError], None],
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(_OurNode(api), seen=seen, failed=failed, backoff=backoff, rng=rng)


class _OurNode:
    def __init__(self, api: NodeApi) -> None:
        self._api = api
        self._looks = 0
        self.shown = f"Node {api.node_name}"
        self.path = "/api/v1/nodes"
        self.open_watch = api.open_watch

    def look(self) -> tuple[NodeView, str]:
        self._looks += 1
        view = replace(self._api.get(), look=self._looks)
        return view, view.resource_version

    def state(self, event: str, obj: Mapping[str, Any]) -> NodeView:
        if event == "DELETED":
            raise KubeError(f"{self.shown} was deleted", status=404)
        return parse_node(obj, look=self._looks)
