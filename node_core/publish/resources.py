"""Extended resources in our own Node's status.capacity, by server-side apply to the status subresource.

What we stop applying disappears; what a device plugin or a person has there stays theirs. The kubelet copies capacity to allocatable
by itself.
"""

from typing import Protocol

import structlog

from node_core.domain.node import NodeView
from node_core.domain.outputs import ResourcePlan, WantedResources, plan_resources, taken_resources
from node_core.publish.keeper import Keeper

log = structlog.get_logger(__name__)


class CapacityApi(Protocol):
    """What we need of the Kubernetes API; see kube.client.NodeApi."""

    def get(self) -> NodeView: ...

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView: ...


class ResourceKeeper(Keeper[WantedResources, ResourcePlan]):
    """manager: the field manager. Never forces: a resource that somebody else set in between is left to them."""

    def __init__(self, api: CapacityApi, manager: str) -> None:
        super().__init__()
        self._api = api
        self._manager = manager
        self._blocked: tuple[str, ...] = ()

    def _get(self) -> NodeView:
        return self._api.get()

    def _plan(self, live: NodeView, wanted: WantedResources) -> ResourcePlan | None:
        return plan_resources(live, wanted, self._manager)

    def _write(self, plan: ResourcePlan, live: NodeView) -> NodeView:  # noqa: ARG002
        written = self._api.set_capacity(self._manager, plan)
        log.info("resources_written", agent=self._manager, resources=dict(plan.resources))
        return written

    def _tell(self, live: NodeView, wanted: WantedResources) -> None:
        blocked = taken_resources(live, wanted, self._manager)
        if blocked != self._blocked:
            self._blocked = blocked
            for name in blocked:
                log.warning("resource_not_set", resource=name, why="the Node has it from somebody else")
