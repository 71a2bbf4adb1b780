"""The Events of an object."""

from typing import Any

import msgspec
import pytest

from gpunode.cluster.connection import Connection
from gpunode.cluster.events import list_events
from node_core.scheduling.objects import Event
from simulation.apiserver import ApiServer


def store(server: ApiServer, name: str, last: str, *, about: str = "n1", kind: str = "Node", **more: Any) -> None:
    event = {
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": kind, "name": about},
        "lastTimestamp": last,
        **more,
    }
    server.store.create("events", event)


def test_the_newest_event_is_first_and_events_of_other_objects_are_not_listed(
    server: ApiServer, connection: Connection
) -> None:
    store(server, "b", "2026-01-01T00:00:00Z")
    store(server, "a", "2026-01-01T00:00:00Z")
    store(server, "c", "2026-01-02T00:00:00Z")
    store(server, "d", "2026-01-03T00:00:00Z", about="n2")
    store(server, "e", "2026-01-03T00:00:00Z", kind="Pod")
    assert [event.metadata.name for event in list_events(connection.api, "Node", "n1")] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("text", "last", "times"),
    [
        (b'{"lastTimestamp": null, "eventTime": "2026-01-01T00:00:00.000000Z"}', "2026-01-01T00:00:00.000000Z", 1),
        (b'{"lastTimestamp": "l", "count": 3, "eventTime": null, "series": null}', "l", 3),
        (b'{"eventTime": "e", "series": {"count": 7, "lastObservedTime": "s"}}', "s", 7),
        (b'{"metadata": {"creationTimestamp": "c"}, "count": 0}', "c", 1),
    ],
)
def test_old_and_new_clients_state_times_differently(text: bytes, last: str, times: int) -> None:
    event = msgspec.json.decode(text, type=Event)
    assert (event.last_seen, event.times) == (last, times)
