"""Writes the label and the condition to the Node."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from mig_manager.status import NodeWrite, StateWrite, Status, plan_writes
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import render_condition
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.node_status_writer import NodeStatusWriter
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES


class NodeStatusApi(Protocol):
    """See kube.client.NodeApi. Each call raises KubeError."""

    def apply_labels(self, manager: str, labels: Labels, *, force: bool) -> NodeView: ...

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView: ...


class MigStatusWriter(NodeStatusWriter[Status, NodeWrite]):
    """agent: the field manager."""

    def __init__(self, api: NodeStatusApi, services: Services, *, agent: str, retries: Backoff = RETRIES) -> None:
        super().__init__("mig-node-status", services, event="mig_state_write_failed", retries=retries)
        self._api, self._agent = api, agent

    def _plan(self, desired: Status, observed: NodeView) -> Iterator[NodeWrite]:
        return plan_writes(desired, observed, self._agent)

    def _send(self, write: NodeWrite, observed: NodeView) -> NodeView:
        if isinstance(write, StateWrite):
            return self._api.apply_labels(self._agent, write.labels, force=True)
        new = write.condition
        patch = render_condition(new, observed.conditions.get(new.type), rfc3339(self._services.wall()))
        return self._api.patch_status(self._agent, patch)

    def _refused_event(self, write: NodeWrite) -> str:  # noqa: ARG002 - both writes show the state
        return "mig_state_not_written"
