"""Watches over HTTPS with the official client."""

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import config, watch

from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

NODES = resource_named("nodes")
DEADLINE = 20.0


def label(server: ApiServer, name: str, value: str, node: str = "n1") -> str:
    """Sets a label in the store and returns the new version."""

    def change(obj: dict[str, Any]) -> dict[str, Any]:
        labels = {**obj["metadata"]["labels"], name: value}
        return {**obj, "metadata": {**obj["metadata"], "labels": labels}}

    updated = server.api.update(Target(resource=NODES, name=node), change, Writer(manager="test"))
    return str(updated["metadata"]["resourceVersion"])


class Watching:
    """A watch in a separate thread. `events` receives its events, and None at its end."""

    def __init__(self, server: ApiServer, **query: Any) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self._connection = config.new_client_from_config_dict(server.kubeconfig())
        self._query = query
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        names = {"label_selector": "labelSelector", "field_selector": "fieldSelector", "seconds": "timeoutSeconds"}
        query = [(names.get(name, name), value) for name, value in self._query.items()]
        request = self._connection.param_serialize(
            "GET", "/api/v1/nodes", query_params=[("watch", "true"), *query], auth_settings=["BearerToken"]
        )
        try:
            response = self._connection.call_api(*request).response
            for line in watch.watch.iter_resp_lines(response):
                self.events.put(line)
        except Exception as error:  # noqa: BLE001  the test reads the error of an outage
            self.events.put(error)
        self.events.put(None)

    def next(self) -> Any:
        event = self.events.get(timeout=DEADLINE)
        return json.loads(event) if isinstance(event, str) else event

    def close(self) -> None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        self._connection.rest_client.pool_manager.clear()
        self._connection.close()


@pytest.fixture
def follow(server: ApiServer) -> Iterator[Any]:
    watching: list[Watching] = []

    def start(**query: Any) -> Watching:
        watching.append(Watching(server, **query))
        return watching[-1]

    yield start
    server.stop()
    for each in watching:
        each.close()


def kinds(watching: Watching, count: int) -> list[str]:
    return [watching.next()["type"] for _ in range(count)]


def test_the_official_client_watches_one_node(server: ApiServer, api: Any) -> None:
    server.add_node("n2")
    version = api.read_node("n1").metadata.resource_version
    label(server, "other", "1", node="n2")
    label(server, "a", "1")
    stream = watch.Watch()
    seen = []
    for event in stream.stream(
        api.list_node, field_selector="metadata.name=n1", resource_version=version, timeout_seconds=30
    ):
        seen.append((event["type"], event["object"].metadata.labels.get("a")))
        if seen[-1][1] == "2":
            stream.stop()
        else:
            label(server, "a", "2")
    assert seen == [("MODIFIED", "1"), ("MODIFIED", "2")]


def test_a_watch_without_a_version_starts_with_the_existing_objects(server: ApiServer, follow: Any) -> None:
    watching = follow()
    first = watching.next()
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "n1")
    server.add_node("n2")
    assert watching.next()["type"] == "ADDED"


def test_a_node_that_starts_to_match_is_added_and_a_node_that_stops_to_match_is_deleted(
    server: ApiServer, follow: Any
) -> None:
    watching = follow(label_selector="mode=on", resourceVersion=str(server.store.version))
    label(server, "mode", "on")
    label(server, "mode", "on-no-more")
    assert kinds(watching, 2) == ["ADDED", "DELETED"]


def test_a_watch_that_allows_bookmarks_gets_bookmarks_with_the_version(server: ApiServer, follow: Any) -> None:
    version = str(server.store.version)
    bookmark = follow(resourceVersion=version, allowWatchBookmarks="true").next()
    assert bookmark == {
        "type": "BOOKMARK",
        "object": {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": version, "creationTimestamp": None},
        },
    }


def test_a_streamed_list_ends_with_an_annotated_bookmark(follow: Any) -> None:
    watching = follow(sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan")
    assert watching.next()["type"] == "ADDED"
    assert watching.next()["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_version_that_is_too_old_gets_an_error_event(server: ApiServer, follow: Any) -> None:
    label(server, "a", "1")
    server.store.compact()
    watching = follow(resourceVersion="2")
    event = watching.next()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert watching.next() is None


def test_a_watch_ends_at_its_timeout(follow: Any) -> None:
    watching = follow(resourceVersion="", seconds="1")
    assert watching.next()["type"] == "ADDED"
    assert watching.next() is None


def test_stopping_the_server_ends_its_watches(server: ApiServer, follow: Any) -> None:
    watching = follow()
    watching.next()
    server.stop()
    last = watching.next()
    assert last is None or isinstance(last, Exception)
