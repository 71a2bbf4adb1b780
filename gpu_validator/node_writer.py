"""Writes the condition GPUValidated to the Node."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from gpu_validator.status import ConditionWrite, Status, plan_writes
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import GPU_VALIDATED, render_condition, render_removal
from node_core.domain.node import NodeView
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.node_status_writer import NodeStatusWriter
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES


class StatusApi(Protocol):
    """See kube.client.NodeApi. Raises KubeError."""

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView: ...


class ValidationWriter(NodeStatusWriter[Status, ConditionWrite]):
    """agent: the field manager."""

    def __init__(self, api: StatusApi, services: Services, *, agent: str, retries: Backoff = RETRIES) -> None:
        super().__init__("validation-status", services, event="validation_write_failed", retries=retries)
        self._api, self._agent = api, agent

    def _plan(self, desired: Status, observed: NodeView) -> Iterator[ConditionWrite]:
        return plan_writes(desired, observed)

    def _send(self, write: ConditionWrite, observed: NodeView) -> NodeView:
        if write.condition is None:
            return self._api.patch_status(self._agent, render_removal(GPU_VALIDATED))
        now = rfc3339(self._services.wall())
        patch = render_condition(write.condition, observed.conditions.get(GPU_VALIDATED), now)
        return self._api.patch_status(self._agent, patch)

    def _refused_event(self, write: ConditionWrite) -> str:  # noqa: ARG002 - there is one kind of write
        return "validation_not_written"
