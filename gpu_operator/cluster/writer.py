"""Writes a plan to the API server. A write that the API server refuses does not prevent the others."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog

from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.cluster.status_writes import StatusWrites
from gpu_operator.events import plan_event
from gpu_operator.plan.cluster_plan import ClusterPlan
from gpu_operator.plan.stale import Deletion
from gpu_operator.plan.status import render_status
from gpu_operator.spec import API_VERSION, COLLECTION
from gpu_operator.view import OWNER, ClusterView, Obj, labels_of
from node_core.domain.events import Event
from node_core.errors import KubeError
from node_core.kube.client import APPLY
from node_core.kube.http import ApiClient
from node_core.runtime import metrics
from node_core.runtime.services import Services
from node_core.values import replace

log = structlog.get_logger(__name__)

NAME = "gpu-operator"
MERGE = "application/merge-patch+json"
_JSON = "application/json"
REFUSED = 500
"""The API server also refuses an object with a field that is not in its schema with this status: a toleration with a wrong key."""


class ClusterWriter:
    """Used by one thread. on_unknown: called if an object of the view does not exist, so that the view must be compared with the cluster.

    record: queues an Event.
    """

    def __init__(
        self, api: ApiClient, services: Services, *, on_unknown: Callable[[], None], record: Callable[[Event], None]
    ) -> None:
        self._api, self._services = api, services
        self._on_unknown, self._record = on_unknown, record
        self._problems: dict[str, str] = {}
        self._has_failed = False
        self._status_writes = StatusWrites()

    def apply(self, plan: ClusterPlan, view: ClusterView, *, now: str) -> bool:
        """Writes everything. Returns False if a write failed and must be repeated.

        Raises KubeError if the API server does not respond, and NotLeaderError if this controller does not lead. now: RFC 3339.
        """
        self._problems, self._has_failed = {}, False
        for key, daemon_set in plan.daemon_sets.items():
            self._attempt(
                "daemon_set_applied",
                labels_of(daemon_set)[OWNER],
                partial(self._apply_daemon_set, daemon_set),
                daemon_set=key,
            )
        for node, owner in plan.owners.items():
            self._attempt("", owner or "", partial(self._label, node, owner))
        if plan.owners:
            log.info(
                "nodes_assigned",
                nodes=len(plan.owners),
                by_driver=dict(Counter(str(owner) for owner in plan.owners.values())),
            )
        for deletion in plan.deletions:
            self._attempt(
                "daemon_set_deleted",
                "",
                partial(self._delete, deletion),
                daemon_set=deletion.key,
                retains_pods=deletion.retains_pods,
            )
        self._status_writes.retain(plan.states.keys())
        for name, state in plan.states.items():
            status = render_status(replace(state, problem=self._problems.get(name)), view.drivers[name], now=now)
            if self._status_writes.is_needed(view.drivers[name], status):
                self._attempt("", name, partial(self._write_status, view.drivers[name], status, now))
        return not self._has_failed

    def _attempt(self, event: str, driver: str, send: Callable[[], object], **fields: Any) -> None:
        """Sends one write. event: the log event of a success; empty for none. driver: the NVIDIADriver whose status shows a failure."""
        try:
            send()
        except NotLeaderError:
            raise
        except KubeError as error:
            if error.status in (0, 429) or error.status > REFUSED:
                raise
            self._fail(driver, error)
        else:
            if event:
                log.info(event, **fields)

    def _fail(self, driver: str, error: KubeError) -> None:
        self._has_failed = True
        self._problems.setdefault(driver, str(error))
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check="write")
        log.warning("write_failed", driver=driver, why=str(error))
        if error.status == 404:
            self._on_unknown()

    def _apply_daemon_set(self, daemon_set: Obj) -> None:
        namespace, name = daemon_set["metadata"]["namespace"], daemon_set["metadata"]["name"]
        query = {"fieldManager": NAME, "force": "true"}
        self._api.request("PATCH", daemon_set_path(f"{namespace}/{name}"), query=query, body=daemon_set, content=APPLY)

    def _label(self, node: str, owner: str | None) -> None:
        body = {"metadata": {"labels": {OWNER: owner}}}
        path = f"/api/v1/nodes/{quote(node, safe='')}"
        self._api.request("PATCH", path, query={"fieldManager": NAME}, body=body, content=MERGE)

    def _delete(self, deletion: Deletion) -> None:
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": deletion.uid, "resourceVersion": deletion.resource_version},
            "propagationPolicy": "Orphan" if deletion.retains_pods else "Background",
        }
        self._api.request("DELETE", daemon_set_path(deletion.key), body=body, content=_JSON)

    def _write_status(self, driver: Obj, status: Mapping[str, Any], now: str) -> None:
        name = driver["metadata"]["name"]
        path = f"{COLLECTION}/{quote(name, safe='')}/status"
        body = {"apiVersion": API_VERSION, "status": status}
        response = self._api.request("PATCH", path, query={"fieldManager": NAME}, body=body, content=MERGE)
        self._status_writes.record(name, status, response)
        if (event := plan_event(driver, status, at=now)) is not None:
            log.info("driver_state_changed", driver=event.about.name, reason=event.reason, why=event.note)
            self._record(event)


def daemon_set_path(key: str) -> str:
    """key: `namespace/name`."""
    namespace, _, name = key.partition("/")
    return f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/daemonsets/{quote(name, safe='')}"
