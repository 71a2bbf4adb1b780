"""Writes the condition and the startup taint to the Node in a separate thread, so that a slow API server does not block the plugin."""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from device_plugin.health.node_status import ConditionWrite, NodeStatus, NodeWrite, TaintWrite, reconcile_node
from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import render_condition
from node_core.domain.node import NodeView
from node_core.domain.taints import Taint, TaintPlan
from node_core.errors import KubeError
from node_core.publish.object_cache import ObjectCache
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES, Worker

log = structlog.get_logger(__name__)


class NodeStatusApi(Protocol):
    """See kube.client.NodeApi. Each call raises KubeError."""

    def get(self) -> NodeView: ...

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView: ...

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView: ...


class NodeStatusWriter(Worker):
    """desire, observe: callable from any thread without waiting. agent: the field manager. taint: the configured startup taint, or None."""

    def __init__(
        self,
        api: NodeStatusApi,
        services: Services,
        *,
        agent: str,
        taint: Taint | None = None,
        retries: Backoff = RETRIES,
    ) -> None:
        super().__init__("node-status", services, retries)
        self._api, self._agent, self._taint = api, agent, taint
        self._desired = NodeStatus()
        self._observed: ObjectCache[NodeView] = ObjectCache()
        self._refused: tuple[NodeWrite, ...] = ()

    def desire(self, status: NodeStatus) -> None:
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
                    return self._failed("node_status_write_failed", error)
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
        observed = self._observed.view
        if observed is None:
            return None
        writes = reconcile_node(self._desired, observed, self._taint)
        return next((write for write in writes if write not in self._refused), None)

    def _send(self, write: NodeWrite) -> NodeView:
        with self._changed:
            observed = self._observed.view
        assert observed is not None  # noqa: S101  # nosec B101 # no write is planned without a Node
        match write:
            case ConditionWrite(condition=new):
                patch = render_condition(new, observed.conditions.get(new.type), rfc3339(self._services.wall()))
                node = self._api.patch_status(self._agent, patch)
                log.debug("condition_written", ready=new.is_true, reason=new.reason)
                return node
            case TaintWrite(plan=plan, is_tainted=is_tainted):
                node = self._set_taints(plan, observed)
                log.info("startup_taint_set" if is_tainted else "startup_taint_removed")
                return node

    def _set_taints(self, plan: TaintPlan, observed: NodeView) -> NodeView:
        """Sets the taints. After a conflict, reads the Node again, so that the next plan starts from the current state."""
        try:
            return self._api.set_taints(self._agent, plan, observed, taints_annotation=STARTUP_TAINT_ANNOTATION)
        except KubeError as error:
            if error.status == 409:
                self._accept(self._api.get())
            raise

    def _accept(self, node: NodeView) -> None:
        """Records the Node of a response, unless the Node was deleted and created again since the request."""
        with self._changed:
            now = self._observed.view
            if now is not None and now.uid == node.uid:
                self._observed.set_from_response(node)

    def _refuse(self, write: NodeWrite, why: str) -> None:
        event = "condition_not_written" if isinstance(write, ConditionWrite) else "startup_taint_not_written"
        log.warning(event, why=why)
        with self._changed:
            self._refused = (*self._refused, write)
