"""Reads objects of one namespace. A missing right is a note where the explanation is useful without the object."""

from collections.abc import Iterator
from typing import TypeVar

from gpunode.cluster.events import list_events
from gpunode.cluster.lists import Kind, get_object, list_pages
from gpunode.why.pod import PodDetails
from gpunode.why.workloads import PODS, Workload, WorkloadKind
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Event, Node

Item = TypeVar("Item")


class Reader:
    """notes: sentences about missing rights, each once."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.notes: list[str] = []

    def pod(self, name: str) -> PodDetails | None:
        """Raises KubeError."""
        return get_object(self.api, PODS.path(self.namespace, name), PodDetails, "pods")

    def pods(self, selector: str) -> tuple[PodDetails, ...]:
        """Raises KubeError."""
        return tuple(self._list(PODS, PodDetails, selector))

    def workload(self, kind: WorkloadKind, name: str) -> Workload | None:
        """Raises KubeError."""
        return get_object(self.api, kind.path(self.namespace, name), Workload, kind.resource)

    def workload_or_none(self, kind: WorkloadKind, name: str) -> Workload | None:
        """Returns None also without the right to read it. Raises KubeError."""
        try:
            return self.workload(kind, name)
        except KubeError as error:
            self.note_missing_right(error)
            return None

    def names(self, kind: WorkloadKind) -> tuple[str, ...]:
        """Returns the names of all objects of a kind; an empty tuple without the right to list them. Raises KubeError."""
        return tuple(each.metadata.name for each in self.workloads(kind))

    def workloads(self, kind: WorkloadKind, selector: str = "") -> tuple[Workload, ...]:
        """Returns an empty tuple without the right to list them. Raises KubeError."""
        try:
            return tuple(self._list(kind, Workload, selector))
        except KubeError as error:
            self.note_missing_right(error)
            return ()

    def events(self, kind: str, name: str) -> tuple[Event, ...]:
        """Returns an empty tuple without the right to list them. Raises KubeError."""
        try:
            return list_events(self.api, kind, name, self.namespace)
        except KubeError as error:
            self.note_missing_right(error)
            return ()

    def node(self, name: str) -> Node | None:
        """Returns None also without the right to read Nodes. Raises KubeError."""
        try:
            return get_object(self.api, f"/api/v1/nodes/{name}", Node, "nodes")
        except KubeError as error:
            self.note_missing_right(error)
            return None

    def note_missing_right(self, error: KubeError) -> None:
        """Adds a note for a missing right. Raises all other errors again."""
        if error.status != 403:
            raise error
        note = f"Not read: {error}."
        if note not in self.notes:
            self.notes.append(note)

    def _list(self, kind: WorkloadKind, item: type[Item], selector: str) -> Iterator[Item]:
        listed = Kind(path=kind.path(self.namespace), name=kind.resource)
        query = {"labelSelector": selector} if selector else {}
        return (each for page in list_pages(self.api, listed, item, query) for each in page)
