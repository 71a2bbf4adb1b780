"""Selects the objects whose Node is gone. PURE. Source: Kubernetes API v1, ObjectMeta; Node Feature Discovery's documentation, nfd-gc."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from node_core.domain.node_feature import API_VERSION, NODE_NAME_LABEL

TOPOLOGY_API = "topology.node.k8s.io/v1alpha2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """node_label: the label with the name of the Node; empty if the object has the name of the Node."""

    name: str
    plural: str
    api_version: str
    node_label: str = ""

    @property
    def path(self) -> str:
        """The collection of all namespaces."""
        return f"/apis/{self.api_version}/{self.plural}"


KINDS = (
    Kind(name="NodeFeature", plural="nodefeatures", api_version=API_VERSION, node_label=NODE_NAME_LABEL),
    Kind(name="NodeResourceTopology", plural="noderesourcetopologies", api_version=TOPOLOGY_API),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObject:
    """An object about a Node. namespace: empty if the kind has no namespaces.

    is_owned: only the Node owns it, so Kubernetes removes it. An object with another owner remains until that owner is gone too.
    """

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str
    node_name: str
    is_owned: bool


def parse_object(kind: Kind, obj: Mapping[str, Any]) -> NodeObject:
    """Parses the metadata of an object. node_name: empty for a NodeFeature without the label, whose Node is not known."""
    metadata = obj["metadata"]
    name = metadata["name"]
    labels = metadata.get("labels") or {}
    owners = metadata.get("ownerReferences") or ()
    return NodeObject(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=name,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        node_name=labels.get(kind.node_label, "") if kind.node_label else name,
        is_owned=bool(owners) and all(each.get("kind") == "Node" for each in owners),
    )


def select_orphans(objects: Iterable[NodeObject], nodes: Collection[str]) -> tuple[NodeObject, ...]:
    """Returns the objects to remove. nodes: the names of all Nodes. Without any Node, nothing is removed: the list may be wrong."""
    if not nodes:
        return ()
    return tuple(each for each in objects if each.node_name and not each.is_owned and each.node_name not in nodes)
