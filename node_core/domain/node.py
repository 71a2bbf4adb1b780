"""The fields of a Node that agents use. PURE. Source: Kubernetes API v1 Node, FieldsV1."""

from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.domain.conditions import ObservedCondition, parse_conditions
from node_core.domain.labels import Labels
from node_core.domain.managed_fields import OwnedKeys, find_owned_keys
from node_core.domain.taints import LiveTaint
from node_core.domain.versions import is_older

API_VERSION = "v1"


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """owned: field manager -> applied label keys (managedFields with operation Apply). A key may have several owners.

    owned_annotations, owned_capacity: the same for annotations and status.capacity. taints: spec.taints in its order.
    conditions: the conditions that agents write, by type.
    kubelet_version, container_runtime: from status.nodeInfo, for example `v1.31.2` and `containerd://2.0.1`; empty if missing.
    list_number: see versions.Versioned; 0 without an informer.
    """

    name: str
    uid: str
    resource_version: str
    labels: Labels
    owned: OwnedKeys = msgspec.field(default_factory=dict)
    taints: tuple[LiveTaint, ...] = ()
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    owned_annotations: OwnedKeys = msgspec.field(default_factory=dict)
    capacity: Mapping[str, str] = msgspec.field(default_factory=dict)
    allocatable: Mapping[str, str] = msgspec.field(default_factory=dict)
    owned_capacity: OwnedKeys = msgspec.field(default_factory=dict)
    conditions: Mapping[str, ObservedCondition] = msgspec.field(default_factory=dict)
    kubelet_version: str = ""
    container_runtime: str = ""
    list_number: int = 0

    def is_older_than(self, other: "NodeView") -> bool:
        return is_older(self, other)

    def labels_by(self, manager: str) -> dict[str, str]:
        """Returns the labels of the Node that this field manager owns."""
        return _select_owned(self.labels, self.owned, manager)

    def annotations_by(self, manager: str) -> dict[str, str]:
        return _select_owned(self.annotations, self.owned_annotations, manager)

    def capacity_by(self, manager: str) -> dict[str, str]:
        return _select_owned(self.capacity, self.owned_capacity, manager)


def _select_owned(observed: Mapping[str, str], owned: OwnedKeys, manager: str) -> dict[str, str]:
    return {key: observed[key] for key in sorted(owned.get(manager, ())) if key in observed}


def parse_node(node: Mapping[str, Any], *, list_number: int = 0) -> NodeView:
    """Parses the JSON of a v1 Node."""
    metadata, status = node["metadata"], node.get("status") or {}
    managed, info = metadata.get("managedFields"), status.get("nodeInfo") or {}
    return NodeView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        labels=dict(metadata.get("labels") or {}),
        owned=find_owned_keys(managed, "metadata", "labels"),
        taints=tuple((node.get("spec") or {}).get("taints") or ()),
        annotations=dict(metadata.get("annotations") or {}),
        owned_annotations=find_owned_keys(managed, "metadata", "annotations"),
        capacity=dict(status.get("capacity") or {}),
        allocatable=dict(status.get("allocatable") or {}),
        owned_capacity=find_owned_keys(managed, "status", "capacity", subresource="status"),
        conditions=parse_conditions(status),
        kubelet_version=info.get("kubeletVersion") or "",
        container_runtime=info.get("containerRuntimeVersion") or "",
        list_number=list_number,
    )


def render_metadata_patch(node_name: str, labels: Labels, annotations: Mapping[str, str]) -> dict[str, Any]:
    """Renders a server-side apply. Afterwards the field manager owns exactly these labels and annotations of the Node.

    An empty map would be owned, too, so the patch does not contain it.
    """
    owned = {key: dict(values) for key, values in (("labels", labels), ("annotations", annotations)) if values}
    return {"apiVersion": API_VERSION, "kind": "Node", "metadata": {"name": node_name, **owned}}


def render_capacity_patch(node_name: str, capacity: Mapping[str, str]) -> dict[str, Any]:
    """Renders a server-side apply of the Node's status. Afterwards the field manager owns exactly these resources."""
    status = {"status": {"capacity": dict(capacity)}} if capacity else {}
    return {"apiVersion": API_VERSION, "kind": "Node", "metadata": {"name": node_name}, **status}
