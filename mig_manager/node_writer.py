"""Writes the label and the condition to the Node in a separate thread, so that a slow API server does not delay a change."""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from mig_manager.status import ConditionWrite, NodeWrite, StateWrite, Status, plan_writes
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import render_condition
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.publish.object_cache import ObjectCache
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES, Worker

log = structlog.get_logger(__name__)


class NodeStatusApi(Protocol):
    """See kube.client.NodeApi. Each call raises KubeError."""

    def apply_labels(self, manager: str, labels: Labels, *, force: bool) -> NodeView: ...

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView: ...


class NodeStatusWriter(Worker):
    """desire, observe: callable from any thread without waiting. agent: the field manager."""

    def __init__(self, api: NodeStatusApi, services: Services, *, agent: str, retries: Backoff = RETRIES) -> None:
        super().__init__("mig-node-status", services, retries)
        self._api, self._agent = api, agent
        self._desired: Status | None = None
        self._observed: ObjectCache[NodeView] = ObjectCache()
        self._refused: tuple[NodeWrite, ...] = ()

    def desire(self, status: Status) -> None:
        with self._changed:
            if status != self._desired:
                self._desired, self._refused = status, ()
                self._changed.notify_all()

    def observe(self, node: NodeView) -> None:
        """Records a state of the Node from the informer."""
        with self._changed:
            self._observed.observe(node)
            self._changed.notify_all()

    def step(self) -> bool:
        """Writes each difference. Returns False if a write failed and must be retried later."""
        while (write := self._next()) is not None:
            try:
                self._accept(self._send(write))
            except KubeError as error:
                if not error.is_final:
                    return self._failed("mig_state_write_failed", error)
                self._refuse(write, str(error))
            else:
                if self._next() == write:  # an admission webhook reverts the write: do not repeat it endlessly
                    self._refuse(write, "the API server accepted the write, but the Node did not change")
        return self._succeeded()

    def _has_work(self) -> bool:
        return self._first() is not None

    def _next(self) -> NodeWrite | None:
        with self._changed:
            return self._first()

    def _first(self) -> NodeWrite | None:
        """Returns the first necessary write. The caller holds the lock."""
        observed, desired = self._observed.view, self._desired
        if observed is None or desired is None:
            return None
        writes = plan_writes(desired, observed, self._agent)
        return next((write for write in writes if write not in self._refused), None)

    def _send(self, write: NodeWrite) -> NodeView:
        match write:
            case StateWrite(labels=labels):
                return self._api.apply_labels(self._agent, labels, force=True)
            case ConditionWrite(condition=new):
                with self._changed:
                    observed = self._observed.view
                current = None if observed is None else observed.conditions.get(new.type)
                return self._api.patch_status(
                    self._agent, render_condition(new, current, rfc3339(self._services.wall()))
                )

    def _accept(self, node: NodeView) -> None:
        """Records the Node of a response, unless the Node was deleted and created again since the request."""
        with self._changed:
            now = self._observed.view
            if now is not None and now.uid == node.uid:
                self._observed.set_from_response(node)

    def _refuse(self, write: NodeWrite, why: str) -> None:
        log.warning("mig_state_not_written", why=why)
        with self._changed:
            self._refused = (*self._refused, write)
