"""NodeFeature objects: desired and observed. PURE. Source: NFD's API, nfd.k8s-sigs.io/v1alpha1."""

from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.domain.features import Features
from node_core.domain.labels import Labels, value_problem
from node_core.domain.managed_fields import OwnedKeys, find_owned_fields, find_owned_keys, select_owned_part
from node_core.domain.versions import is_older

OPENSHIFT_GROUP = "nfd.openshift.io"
"""The group of the same kinds in OpenShift's Node Feature Discovery."""
API_VERSION = "nfd.k8s-sigs.io/v1alpha1"
NODE_NAME_LABEL = "nfd.node.kubernetes.io/node-name"
"""The label that names the Node of a NodeFeature object. nfd-master ignores objects without this label."""
VERSION_ANNOTATION = "nfd.node.kubernetes.io/worker.version"
"""The version of the NFD worker that wrote the object. Other writers do not set this annotation."""
GFD_PREFIX = "nvidia-features-for-"
"""The prefix of the name of GPU Feature Discovery's object. The Node's name follows."""
WORKER_PREFIX = ""
"""The name of the NFD worker's object is the Node's name, without a prefix."""


class NodeFeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """An observed object. owned: field manager -> applied keys of spec.labels. owners: the uids in ownerReferences.

    managed: metadata.managedFields. list_number: see versions.Versioned; 0 without an informer.
    """

    uid: str
    resource_version: str
    labels: Labels
    features: Mapping[str, Any]
    node_name: str | None
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    owners: frozenset[str] = frozenset()
    owned: OwnedKeys = msgspec.field(default_factory=dict)
    managed: tuple[Mapping[str, Any], ...] = ()
    list_number: int = 0

    def is_older_than(self, other: "NodeFeatureView") -> bool:
        return is_older(self, other)

    def labels_by(self, manager: str) -> dict[str, str]:
        """Returns the labels of the object that this field manager owns."""
        return {key: self.labels[key] for key in sorted(self.owned.get(manager, ())) if key in self.labels}

    def features_by(self, manager: str) -> Any:
        """Returns the part of spec.features that this field manager owns."""
        return select_owned_part(self.features, find_owned_fields(self.managed, manager, "spec", "features"))


class NodeFeature(msgspec.Struct, frozen=True, kw_only=True):
    """A desired object. node_uid: the Node owns the object. So the object outlives the agent's pods, and is deleted with the Node."""

    node_name: str
    node_uid: str
    labels: Labels
    features: Features = msgspec.field(default_factory=Features)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)

    def is_applied_in(self, live: NodeFeatureView | None, manager: str) -> bool:
        """True if this field manager has already applied exactly this state to the live object."""
        return live is not None and (
            live.labels_by(manager) == dict(self.labels)
            and live.node_name == self.node_name
            and self.node_uid in live.owners
            and self.annotations.items() <= live.annotations.items()
            and live.features_by(manager) == render_features(self.features)
        )


def node_label_problem(node_name: str) -> str | None:
    """Returns why a NodeFeature object cannot be about this Node, or None. The Node's name has to be a valid label value."""
    problem = value_problem(node_name)
    return f"the label {NODE_NAME_LABEL} cannot name the Node {node_name}: {problem}" if problem else None


def parse_node_feature(obj: Mapping[str, Any], *, list_number: int = 0) -> NodeFeatureView:
    """Parses the JSON of a NodeFeature object."""
    metadata = obj["metadata"]
    spec = obj.get("spec") or {}
    managed = tuple(metadata.get("managedFields") or ())
    return NodeFeatureView(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        labels=dict(spec.get("labels") or {}),
        features=spec.get("features") or {},
        node_name=(metadata.get("labels") or {}).get(NODE_NAME_LABEL),
        annotations=dict(metadata.get("annotations") or {}),
        owners=frozenset(owner.get("uid", "") for owner in metadata.get("ownerReferences") or ()),
        owned=find_owned_keys(managed, "spec", "labels"),
        managed=managed,
        list_number=list_number,
    )


def render_node_feature(desired: NodeFeature, *, name: str, namespace: str) -> dict[str, Any]:
    """Renders a server-side apply. Afterwards the field manager owns exactly the desired state of the object.

    Without labels, the body has no spec.labels: the API server would turn an emptied map into null, and reject null.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {NODE_NAME_LABEL: desired.node_name},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": desired.node_name, "uid": desired.node_uid}],
    }
    if desired.annotations:
        metadata["annotations"] = dict(desired.annotations)
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeFeature",
        "metadata": metadata,
        "spec": {
            **({"labels": dict(desired.labels)} if desired.labels else {}),
            "features": render_features(desired.features),
        },
    }


def without_empty(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body of an apply without features that have no elements, and without kinds of features that have no features."""
    features = {
        kind: {name: feature for name, feature in named.items() if feature["elements"]}
        for kind, named in body["spec"]["features"].items()
    }
    return {**body, "spec": {**body["spec"], "features": {kind: named for kind, named in features.items() if named}}}


def render_features(features: Features) -> dict[str, Any]:
    """Renders spec.features. Like GPU Feature Discovery, writes all three maps, also empty ones."""
    return {
        "flags": {name: {"elements": {flag: {} for flag in sorted(flags)}} for name, flags in features.flags.items()},
        "attributes": {name: {"elements": dict(values)} for name, values in features.attributes.items()},
        "instances": {
            name: {"elements": [{"attributes": dict(instance)} for instance in instances]}
            for name, instances in features.instances.items()
        },
    }
