"""Our Node as the API server holds it: the few fields that agents decide from. Source: Kubernetes API v1 Node, FieldsV1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node_core.domain.labels import Labels
from node_core.domain.managed_fields import Owned, owned_keys
from node_core.domain.taints import LiveTaint
from node_core.domain.versions import is_older

API_VERSION = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """owned: field manager -> the label keys it applied (managedFields with operation Apply). A key may have several owners.

    owned_annotations, owned_capacity: the same of annotations and of status.capacity. taints: spec.taints as it stands, in its order.
    kubelet_version, container_runtime: of status.nodeInfo, `v1.31.2` and `containerd://2.0.1`; empty where it does not say.
    look: by which look of its watch the state was found; 0 where nobody watches.
    """

    name: str
    uid: str
    resource_version: str
    labels: Labels
    owned: Owned = field(default_factory=dict)
    taints: tuple[LiveTaint, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    owned_annotations: Owned = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)
    owned_capacity: Owned = field(default_factory=dict)
    kubelet_version: str = ""
    container_runtime: str = ""
    look: int = 0

    def is_older_than(self, other: "NodeView") -> bool:
        return is_older(self, other)

    def applied_by(self, manager: str) -> dict[str, str]:
        """The live labels that this field manager owns: what it published, whichever process did it."""
        return _owned_of(self.labels, self.owned, manager)

    def annotations_by(self, manager: str) -> dict[str, str]:
        return _owned_of(self.annotations, self.owned_annotations, manager)

    def capacity_by(self, manager: str) -> dict[str, str]:
        return _owned_of(self.capacity, self.owned_capacity, manager)


def _owned_of(live: Mapping[str, str], owned: Owned, manager: str) -> dict[str, str]:
    return {key: live[key] for key in sorted(owned.get(manager, ())) if key in live}


def parse_node(node: Mapping[str, Any], *, look: int = 0) -> NodeView:
    """A v1 Node object, as JSON gives it."""
    metadata, status = node["metadata"], node.get("status") or {}
    managed, info = metadata.get("managedFields"), status.get("nodeInfo") or {}
    return NodeView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        labels=dict(metadata.get("labels") or {}),
        owned=owned_keys(managed, "metadata", "labels"),
        taints=tuple((node.get("spec") or {}).get("taints") or ()),
        annotations=dict(metadata.get("annotations") or {}),
        owned_annotations=owned_keys(managed, "metadata", "annotations"),
        capacity=dict(status.get("capacity") or {}),
        owned_capacity=owned_keys(managed, "status", "capacity", subresource="status"),
        kubelet_version=info.get("kubeletVersion") or "",
        container_runtime=info.get("containerRuntimeVersion") or "",
        look=look,
    )


def render_metadata_patch(node_name: str, labels: Labels, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The body of a server-side apply that makes these all the labels and annotations that a field manager owns on the Node."""
    metadata: dict[str, Any] = {"name": node_name, "labels": dict(labels)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": API_VERSION, "kind": "Node", "metadata": metadata}


def render_capacity_patch(node_name: str, capacity: Mapping[str, str]) -> dict[str, Any]:
    """The body of a server-side apply to the Node's status: these become all the resources that a field manager owns there."""
    status = {"status": {"capacity": dict(capacity)}} if capacity else {}
    return {"apiVersion": API_VERSION, "kind": "Node", "metadata": {"name": node_name}, **status}
