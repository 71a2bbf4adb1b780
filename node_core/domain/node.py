"""Our Node as the API server holds it: the few fields that agents decide from. Source: Kubernetes API v1 Node, FieldsV1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node_core.domain.labels import Labels
from node_core.domain.taints import LiveTaint


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """owned: field manager -> the label keys it applied (managedFields with operation Apply). A key may have several owners.

    taints: spec.taints as it stands, in its order.
    """

    name: str
    uid: str
    resource_version: str
    labels: Labels
    owned: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taints: tuple[LiveTaint, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def is_older_than(self, other: "NodeView") -> bool:
        """Whether the API server wrote this state before the other; resourceVersions of one kind compare as integers."""
        versions = (self.resource_version, other.resource_version)
        return all(version.isdecimal() for version in versions) and int(versions[0]) < int(versions[1])

    def applied_by(self, manager: str) -> dict[str, str]:
        """The live labels that this field manager owns: what it published, whichever process did it."""
        return {key: self.labels[key] for key in sorted(self.owned.get(manager, ())) if key in self.labels}


def parse_node(node: Mapping[str, Any]) -> NodeView:
    """A v1 Node object, as JSON gives it."""
    metadata = node["metadata"]
    return NodeView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        labels=dict(metadata.get("labels") or {}),
        owned=_label_owners(metadata.get("managedFields") or ()),
        taints=tuple((node.get("spec") or {}).get("taints") or ()),
        annotations=dict(metadata.get("annotations") or {}),
    )


def _label_owners(managed_fields: Any) -> dict[str, frozenset[str]]:
    owners: dict[str, frozenset[str]] = {}
    for entry in managed_fields:
        if entry.get("operation") != "Apply" or entry.get("subresource"):
            continue
        fields = (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:labels", {})
        owners[entry.get("manager", "")] = frozenset(key.removeprefix("f:") for key in fields if key.startswith("f:"))
    return owners


def render_label_patch(node_name: str, labels: Labels) -> dict[str, Any]:
    """The body of a server-side apply that makes `labels` all that a field manager owns on the Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node_name, "labels": dict(labels)},
    }
