"""The Events of an object. The API server deletes Events after an hour, unless its --event-ttl has another value."""

from collections.abc import Iterator

from gpunode.cluster.lists import Kind, list_pages
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Event

EVENTS = Kind(path="/api/v1/events", name="events")


def list_events(api: ApiClient, kind: str, name: str, namespace: str = "") -> tuple[Event, ...]:
    """Returns the Events of an object, the newest first. namespace: empty for a Node. Raises KubeError."""
    place = f",involvedObject.namespace={namespace}" if namespace else ""
    query = {"fieldSelector": f"involvedObject.kind={kind},involvedObject.name={name}{place}"}
    return sort_events(event for page in list_pages(api, _events_of(namespace), Event, query) for event in page)


def _events_of(namespace: str) -> Kind:
    """Returns the events of one namespace, which needs fewer rights, or those of all namespaces."""
    return Kind(path=f"/api/v1/namespaces/{namespace}/events", name="events") if namespace else EVENTS


def sort_events(events: Iterator[Event]) -> tuple[Event, ...]:
    """Returns the newest first. Events of the same time are in the order of their names. PURE."""
    by_name = sorted(events, key=lambda event: event.metadata.name)
    return tuple(sorted(by_name, key=lambda event: event.last_seen, reverse=True))
