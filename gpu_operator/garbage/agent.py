"""The agent that removes objects of Nodes that are gone: soon after the deletion of a Node, and periodically.

An object is removed only if the list of Nodes is known, if a new request for its Node returns 404, and if the object has not changed.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import quote

import structlog

from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.garbage.orphans import KINDS, Kind, NodeObject, parse_object, select_orphans
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.http import JSON, METADATA, METADATA_LIST, ApiClient, parse_response
from node_core.kube.informer import PAGE
from node_core.runtime import metrics
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import AgentMessage, InputsChanged, Resync
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "garbage-collector"
PERIOD, SOON = "period", "soon"
SOON_SECONDS = 10.0
"""Seconds between the deletion of a Node and the removal of its objects, in which further Nodes are deleted."""
FIRST_SECONDS = 60.0
"""Seconds between the start and the first removal."""
MAX_DELETIONS = 500
"""Maximum objects that are removed at once. The others are removed with the next run, after SOON_SECONDS."""
CHECK = f"{NAME}/objects"


class GarbageCollector:
    """Satisfies control_loop.Controller. read_nodes: returns the names of all Nodes; None while they are not known.

    is_leader: whether this process may write. interval: seconds between two full runs; None for never.
    """

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        api: ApiClient,
        read_nodes: Callable[[], Collection[str] | None],
        is_leader: Callable[[], bool],
        interval: float | None,
    ) -> None:
        self._services, self._timers, self._api = services, timers, api
        self._read_nodes, self._is_leader, self._interval = read_nodes, is_leader, interval
        self._known: frozenset[str] = frozenset()
        self._backoff = Backoff()
        self._failures = 0

    def start(self) -> None:
        self._timers.set_after(PERIOD, FIRST_SECONDS)

    def handle(self, message: AgentMessage) -> None:
        if isinstance(message, InputsChanged | Resync):
            self._observe()

    def timer(self, name: str) -> None:
        if name == PERIOD and self._interval is not None:
            self._timers.set_after(PERIOD, self._interval)
        self._timers.cancel(SOON)
        self._run()

    def reconcile(self) -> None:
        """Does nothing: timers start the runs."""

    def close(self, *, is_final: bool) -> None:
        """Does nothing."""

    def _observe(self) -> None:
        nodes = self._read_nodes()
        if nodes is None:
            return
        now = frozenset(nodes)
        if self._known - now and not self._timers.is_set(SOON):
            self._timers.set_after(SOON, SOON_SECONDS)
        self._known = now

    def _run(self) -> None:
        if not self._is_leader():
            self._stand_by()
            return
        if not (nodes := self._read_nodes()):
            return
        try:
            is_complete = self._remove(frozenset(nodes))
        except NotLeaderError:
            self._stand_by()
            return
        except KubeError as error:
            self._failures += 1
            self._services.metrics.add(metrics.ERRORS, agent=NAME, check="objects")
            self._services.readiness.report(CHECK, str(error))
            self._timers.set_after(SOON, self._backoff.delay(self._failures, self._services.chance()))
            return
        self._failures = 0
        self._services.readiness.report(CHECK, None)
        if not is_complete:
            self._timers.set_after(SOON, SOON_SECONDS)

    def _stand_by(self) -> None:
        """Forgets the errors: another controller removes the objects, and reports its errors."""
        self._failures = 0
        self._services.readiness.report(CHECK, None)

    def _remove(self, nodes: frozenset[str]) -> bool:
        """Removes the objects whose Node is gone. Returns False if there are more. Raises KubeError."""
        orphans = [each for kind in KINDS for each in select_orphans(self._list(kind), nodes)]
        exists: dict[str, bool] = {}
        for each in orphans[:MAX_DELETIONS]:
            if each.node_name not in exists:
                exists[each.node_name] = self._node_exists(each.node_name)
            if not exists[each.node_name]:
                self._delete(each)
        return len(orphans) <= MAX_DELETIONS

    def _list(self, kind: Kind) -> Iterator[NodeObject]:
        """Lists the metadata of all objects. Yields nothing if the cluster does not have the kind. Raises KubeError."""
        query = {"limit": str(PAGE)}
        while True:
            try:
                page = self._api.request("GET", kind.path, query=query, accept=METADATA_LIST)
            except KubeError as error:
                if error.status == 404:
                    return
                raise
            yield from parse_response(lambda found: [parse_object(kind, each) for each in found["items"]], page)
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    def _node_exists(self, name: str) -> bool:
        try:
            self._api.request("GET", f"/api/v1/nodes/{quote(name, safe='')}", accept=METADATA)
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _delete(self, orphan: NodeObject) -> None:
        """Removes an object unless the object has changed: then its writer is alive."""
        same = {"uid": orphan.uid, "resourceVersion": orphan.resource_version}
        body: dict[str, Any] = {"preconditions": same}
        try:
            self._api.request("DELETE", _path(orphan), body=body, content=JSON)
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            return
        log.info(
            "object_removed",
            kind=orphan.kind.name,
            object=f"{orphan.namespace}/{orphan.name}".lstrip("/"),
            why=f"the Node {orphan.node_name} does not exist",
        )


def _path(orphan: NodeObject) -> str:
    namespaced = f"namespaces/{quote(orphan.namespace, safe='')}/" if orphan.namespace else ""
    return f"/apis/{orphan.kind.api_version}/{namespaced}{orphan.kind.plural}/{quote(orphan.name, safe='')}"
