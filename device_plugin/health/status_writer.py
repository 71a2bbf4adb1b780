"""Writes the condition and the startup taint to the Node."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import structlog

from device_plugin.health.node_status import ConditionWrite, NodeStatus, NodeWrite, TaintWrite, reconcile_node
from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import render_condition
from node_core.domain.node import NodeView
from node_core.domain.taints import Taint, TaintPlan
from node_core.errors import KubeError
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.node_status_writer import NodeStatusWriter
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES

log = structlog.get_logger(__name__)


class NodeStatusApi(Protocol):
    """See kube.client.NodeApi. Each call raises KubeError."""

    def get(self) -> NodeView: ...

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView: ...

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView: ...


class HealthStatusWriter(NodeStatusWriter[NodeStatus, NodeWrite]):
    """agent: the field manager. taint: the configured startup taint, or None."""

    def __init__(
        self,
        api: NodeStatusApi,
        services: Services,
        *,
        agent: str,
        taint: Taint | None = None,
        retries: Backoff = RETRIES,
    ) -> None:
        super().__init__(
            "node-status", services, event="node_status_write_failed", desired=NodeStatus(), retries=retries
        )
        self._api, self._agent, self._taint = api, agent, taint

    def _plan(self, desired: NodeStatus, observed: NodeView) -> Iterable[NodeWrite]:
        return reconcile_node(desired, observed, self._taint)

    def _send(self, write: NodeWrite, observed: NodeView) -> NodeView:
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

    def _refused_event(self, write: NodeWrite) -> str:
        return "condition_not_written" if isinstance(write, ConditionWrite) else "startup_taint_not_written"
