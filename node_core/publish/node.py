"""Writes labels, annotations, taints and extended resources to the agent's Node, with one field manager per agent.

The writer uses server-side apply for labels, annotations and resources. The API server removes a key that the field manager no longer
applies and retains the keys of other field managers. The list of taints has no owner per item, so the writer tests the Node's
resource version when it writes taints.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from node_core.domain.coalescer import Coalescer
from node_core.domain.desired import Outputs
from node_core.domain.extended_resources import ResourcePlan
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.domain.reconcile import (
    ApplyMetadata,
    BlockedOutput,
    FieldOwner,
    SetCapacity,
    SetTaints,
    Write,
    find_blocked_outputs,
    reconcile_node,
    select_published,
    select_writable,
)
from node_core.domain.taints import TaintPlan
from node_core.errors import KubeError, PublishError
from node_core.publish.object_cache import ObjectCache, View

log = structlog.get_logger(__name__)

CONFLICT_SECONDS = 600.0


class NodeWriteApi(Protocol):
    """The methods of the Kubernetes API that NodeWriter calls. kube.client.NodeApi implements them."""

    def get(self) -> NodeView: ...

    def apply_labels(
        self, manager: str, labels: Labels, *, annotations: Mapping[str, str], force: bool
    ) -> NodeView: ...

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView: ...

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView: ...


class NodeWriter:
    """Implements Writer for the Node object. clock: monotonic seconds."""

    def __init__(self, api: NodeWriteApi, owner: FieldOwner, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._owner = owner
        self._clock = clock
        self._conflicts: Coalescer[int] = Coalescer(lambda _, count: count)
        self._node: ObjectCache[NodeView] = ObjectCache()

    def observe(self, node: NodeView) -> None:
        self._node.observe(node)

    def observe_object(self, node_feature: NodeFeatureView | None) -> None: ...

    def refresh(self) -> NodeView:
        return self._node.set_from_response(self._api.get())

    def published(self) -> Outputs | None:
        node = self._node.view
        return None if node is None else select_published(node, self._owner)

    def reconcile(self, desired: Outputs) -> tuple[Write, ...]:
        return reconcile_node(desired, self._observed(), self._owner)

    def blocked_outputs(self, desired: Outputs) -> tuple[BlockedOutput, ...]:
        return find_blocked_outputs(desired, self._observed(), self._owner)

    def apply(self, write: Write) -> None:
        manager = self._owner.manager
        match write:
            case SetTaints(plan=plan, observed=observed):
                self._node.set_from_response(
                    self._api.set_taints(manager, plan, observed, taints_annotation=self._owner.taints_annotation)
                )
                log.info("taints_written", agent=manager, taints=[str(taint) for taint in sorted(plan.owned)])
            case SetCapacity(plan=capacity):
                self._node.set_from_response(self._api.set_capacity(manager, capacity))
                log.info("resources_written", agent=manager, resources=dict(capacity.resources))
            case ApplyMetadata():
                self._node.set_from_response(self._apply_metadata(write))
            case _:
                raise TypeError(f"{type(write).__name__} is not a write to a Node")

    def _observed(self) -> NodeView:
        """Returns the newest state of the Node. Raises PublishError if no state is known."""
        if self._node.view is None:
            raise PublishError("the agent has not read the Node yet")
        return self._node.view

    def _apply_metadata(self, write: ApplyMetadata) -> NodeView:
        def apply(force: bool) -> NodeView:
            must_check = force and not self._owner.may_overwrite
            labels = select_writable(write.labels, self.refresh(), self._owner) if must_check else write.labels
            return self._api.apply_labels(self._owner.manager, labels, annotations=write.annotations, force=force)

        return self._apply_with_force(apply)

    def _apply_with_force(self, apply: Callable[[bool], View]) -> View:
        """Sends a server-side apply request. After a conflict with another field manager, applies with force.

        A conflict that occurs again and again is logged once in CONFLICT_SECONDS, with its count. apply: sends the request, with force if
        the argument is True. Raises KubeError.
        """
        try:
            return apply(False)
        except KubeError as error:
            if error.status != 409:
                raise
            count = self._conflicts.add(error.message, 1, self._clock(), CONFLICT_SECONDS)
            if count is not None:
                manager = self._owner.manager
                log.warning("label_conflict_overridden", manager=manager, conflict=error.message, count=count)
            return apply(True)
