"""Writes labels and features to a NodeFeature object, for clusters where nfd-master writes the Nodes.

The writer uses server-side apply with the agent's field manager. The owner of the object is the Node, not a pod, so the labels remain
when the agent's pod is deleted. The writer reads the object once. Later states come from the writer's own writes and from an informer.
"""

from collections.abc import Mapping
from typing import Protocol

from node_core.domain.desired import Outputs
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeature, NodeFeatureView, node_label_problem
from node_core.domain.reconcile import (
    ApplyNodeFeature,
    BlockedOutput,
    FieldOwner,
    Write,
    reconcile_taints,
    select_published,
)
from node_core.errors import PublishError
from node_core.publish.node import NodeWriteApi, NodeWriter
from node_core.publish.object_cache import ObjectCache


class NodeFeatureWriteApi(Protocol):
    """The methods of the Kubernetes API that NodeFeatureWriter calls. kube.node_feature.NodeFeatureApi implements them."""

    def get(self) -> NodeFeatureView | None: ...

    def apply(self, manager: str, node_feature: NodeFeature, *, force: bool) -> NodeFeatureView: ...


class NodeFeatureWriter(NodeWriter):
    """Implements Writer for the NodeFeature object. On the Node, writes only the owner's taints. annotations: of the NodeFeature object."""

    def __init__(
        self,
        api: NodeFeatureWriteApi,
        node: NodeWriteApi,
        owner: FieldOwner,
        *,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(node, owner)
        self._objects = api
        self._annotations = dict(annotations or {})
        self._object: ObjectCache[NodeFeatureView] = ObjectCache()
        self._is_known = False

    def observe_object(self, node_feature: NodeFeatureView | None) -> None:
        """None can be older than the writer's last write. In this case, `published` reads the object again."""
        self._is_known = node_feature is not None or self._object.view is None
        if node_feature is not None:
            self._object.observe(node_feature)

    def refresh(self) -> NodeView:
        self._read()
        return super().refresh()

    def published(self) -> Outputs | None:
        node = self._node.view
        if node is None:
            return None
        if not self._is_known:
            self._read()
        live = self._object.view
        labels = live.labels_by(self._owner.manager) if live else {}
        return Outputs(labels=labels, taints=select_published(node, self._owner).taints)

    def reconcile(self, desired: Outputs) -> tuple[Write, ...]:
        node = self._observed()
        if problem := node_label_problem(node.name):
            raise PublishError(problem, hint="publish with --publish node")
        node_feature = self._render(desired, node)
        taints = reconcile_taints(desired, node, self._owner)
        if node_feature.is_applied_in(self._object.view, self._owner.manager):
            return taints
        return (*taints, ApplyNodeFeature(node_feature=node_feature))

    def blocked_outputs(self, desired: Outputs) -> tuple[BlockedOutput, ...]:  # noqa: ARG002
        return ()

    def apply(self, write: Write) -> None:
        if isinstance(write, ApplyNodeFeature):
            self._object.set_from_response(self._apply(write.node_feature))
        else:
            super().apply(write)

    def _render(self, desired: Outputs, node: NodeView) -> NodeFeature:
        return NodeFeature(
            node_name=node.name,
            node_uid=node.uid,
            labels=desired.labels,
            features=desired.features,
            annotations=self._annotations,
        )

    def _read(self) -> None:
        live = self._objects.get()
        self._is_known = True
        if live is None:
            self._object.clear()
        else:
            self._object.set_from_response(live)

    def _apply(self, node_feature: NodeFeature) -> NodeFeatureView:
        manager = self._owner.manager
        return self._apply_with_force(lambda force: self._objects.apply(manager, node_feature, force=force))
