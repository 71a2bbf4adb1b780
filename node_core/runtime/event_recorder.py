"""Sends Events to the API server in a separate thread. Therefore an API server that does not respond does not block an agent.

The queue is bounded. Failed requests are retried. An Event that the API server refuses permanently is logged and dropped.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.events import Event, render_event
from node_core.errors import KubeError
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES, Worker

log = structlog.get_logger(__name__)

MAX_PENDING = 100

Source = Callable[[], Iterable[Event]]
"""Builds Events. Called in the recorder's thread at each attempt. May raise KubeError."""


class EventApi(Protocol):
    """See kube.events.EventApi."""

    def create(self, event: Mapping[str, Any]) -> None:
        """Creates an Event. Raises KubeError. An existing Event of the same name is not an error."""
        ...


class EventRecorder(Worker):
    """Queues and sends Events. record: callable from any thread. api: called only in the recorder's thread."""

    def __init__(self, api: Callable[[], EventApi], services: Services, *, retries: Backoff = RETRIES) -> None:
        super().__init__("event-recorder", services, retries)
        self._api = api
        self._waiting: deque[Source] = deque(maxlen=MAX_PENDING)

    def record(self, source: Source) -> None:
        """Queues a source. If the queue contains MAX_PENDING sources, the oldest source is dropped."""
        with self._changed:
            self._waiting.append(source)
            self._changed.notify_all()

    def step(self) -> bool:
        """Sends the queued Events. Returns True if all were sent or refused. With --oneshot, called without the thread."""
        while (source := self._first()) is not None:
            try:
                self._send(source)
            except KubeError as error:
                return self._failed("events_wait", error)
            except Exception:
                log.exception("event_failed")
            self._remove(source)
        return self._succeeded()

    def _has_work(self) -> bool:
        return bool(self._waiting)

    def _first(self) -> Source | None:
        with self._changed:
            return self._waiting[0] if self._waiting else None

    def _remove(self, source: Source) -> None:
        """Removes the first source, unless `record` has already dropped this source."""
        with self._changed:
            if self._waiting and self._waiting[0] is source:
                self._waiting.popleft()

    def _send(self, source: Source) -> None:
        for event in source():
            try:
                self._api().create(render_event(event))
            except KubeError as error:
                if not error.is_final:
                    raise
                log.warning("event_not_written", about=event.about.name, why=str(error))


def rfc3339(at: float) -> str:
    """Formats a time, in Unix seconds, as in RFC 3339."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
