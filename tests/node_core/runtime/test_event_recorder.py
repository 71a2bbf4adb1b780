"""Events that wait for the API server: in order, limited, and retried after errors that may be temporary."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.backoff import Backoff
from node_core.domain.events import Event, Reference, event_name, render_event
from node_core.errors import KubeError
from node_core.runtime.event_recorder import MAX_PENDING, EventRecorder, rfc3339
from node_core.runtime.services import Services
from node_core.values import replace
from tests.waiting import until

NODE = Reference(kind="Node", name="n1", uid="n1")
EVENT = Event(
    name=event_name("n1", "a"), about=NODE, reason="GPUUnhealthy", note="Xid 79", at=rfc3339(1_700_000_000.0), agent="a", node_name="n1"
)  # fmt: skip


class Api:
    """refuse: the status of every response."""

    def __init__(self) -> None:
        self.refuse: int | None = None
        self.requests = 0
        self.created: list[Mapping[str, Any]] = []

    def create(self, event: Mapping[str, Any]) -> None:
        self.requests += 1
        if self.refuse is not None:
            raise KubeError("no", status=self.refuse)
        self.created.append(event)


def make(api: Api) -> EventRecorder:
    return EventRecorder(lambda: api, Services(), retries=Backoff(first=0.01, maximum=0.02))


@pytest.mark.parametrize("status", [0, 401, 403, 429, 500, 503])
def test_an_event_without_a_response_or_permission_is_retried_and_logged_once(status: int) -> None:
    api = Api()
    recorder = make(api)
    api.refuse = status
    recorder.record(lambda: [EVENT])
    with capture_logs() as logs:
        assert [recorder.step() for _ in range(5)] == [False] * 5
    assert [entry["event"] for entry in logs] == ["events_wait"]
    api.refuse = None
    assert recorder.step()
    assert api.created == [render_event(EVENT)]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_rejected_event_is_logged_and_dropped(status: int) -> None:
    api = Api()
    recorder = make(api)
    api.refuse = status
    recorder.record(lambda: [EVENT])
    with capture_logs() as logs:
        assert [recorder.step() for _ in range(3)] == [True] * 3
    assert [entry["event"] for entry in logs] == ["event_not_written"]
    assert api.requests == 1


def test_of_too_many_events_the_newest_are_sent() -> None:
    api = Api()
    recorder = make(api)
    for number in range(MAX_PENDING * 3):
        recorder.record(lambda number=number: [replace(EVENT, note=str(number))])  # type: ignore[misc]
    assert recorder.step()
    assert [event["message"] for event in api.created] == [str(MAX_PENDING * 2 + each) for each in range(MAX_PENDING)]


def test_a_source_that_fails_affects_no_events_of_other_sources() -> None:
    def broken() -> Iterable[Event]:
        yield EVENT
        raise ZeroDivisionError

    api = Api()
    recorder = make(api)
    recorder.record(broken)
    recorder.record(lambda: [EVENT])
    with capture_logs() as logs:
        assert recorder.step()
    assert [entry["event"] for entry in logs] == ["event_failed"]
    assert len(api.created) == 2


def test_the_thread_sends_events_after_an_outage_and_can_be_stopped() -> None:
    api = Api()
    api.refuse = 503
    recorder, requested = make(api), threading.Event()
    recorder.start()

    def source() -> Iterable[Event]:
        requested.set()
        return [EVENT]

    recorder.record(source)
    assert requested.wait(60)
    api.refuse = None
    until(lambda: bool(api.created))
    assert recorder.liveness_problem() is None
    recorder.stop()
    assert not recorder._thread.is_alive()
    assert recorder.liveness_problem() is None
