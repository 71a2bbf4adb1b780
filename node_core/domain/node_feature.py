"""A NodeFeature object: what we make of it, and what we read back. PURE. Source: NFD's API, nfd.k8s-sigs.io/v1alpha1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node_core.domain.features import Features
from node_core.domain.labels import Labels, value_problem
from node_core.domain.managed_fields import Owned, owned_fields, owned_keys, owned_part
from node_core.domain.versions import is_older

API_VERSION = "nfd.k8s-sigs.io/v1alpha1"
NODE_NAME_LABEL = "nfd.node.kubernetes.io/node-name"
"""nfd-master passes over NodeFeature objects that do not say with this label which Node they are about."""
VERSION_ANNOTATION = "nfd.node.kubernetes.io/worker.version"
"""Which worker wrote the object; others who create such objects do not set it."""
GFD_PREFIX = "nvidia-features-for-"
"""Before the Node's name in the name of GPU Feature Discovery's object."""
WORKER_PREFIX = ""
"""NFD's own worker uses the bare Node name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFeatureView:
    """The live object. owned: field manager -> the keys of spec.labels it applied. owners: the uids in ownerReferences.

    managed: metadata.managedFields. look: by which look of its watch the state was found; 0 where nobody watches.
    """

    uid: str
    resource_version: str
    labels: Labels
    features: Mapping[str, Any]
    node_name: str | None
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: frozenset[str] = frozenset()
    owned: Owned = field(default_factory=dict)
    managed: tuple[Mapping[str, Any], ...] = ()
    look: int = 0

    def is_older_than(self, other: "NodeFeatureView") -> bool:
        return is_older(self, other)

    def applied_by(self, manager: str) -> dict[str, str]:
        """The live labels that this field manager owns: what it published, whichever process did it."""
        return {key: self.labels[key] for key in sorted(self.owned.get(manager, ())) if key in self.labels}

    def features_by(self, manager: str) -> Any:
        """What this field manager owns of spec.features."""
        return owned_part(self.features, owned_fields(self.managed, manager, "spec", "features"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFeature:
    """What we want to stand there. node_uid: the Node owns the object, so it outlives our pods and goes with the Node."""

    node_name: str
    node_uid: str
    labels: Labels
    features: Features = field(default_factory=Features)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def is_said_by(self, live: NodeFeatureView | None, manager: str) -> bool:
        """Whether the live object already says exactly this in this field manager's name."""
        return live is not None and (
            live.applied_by(manager) == dict(self.labels)
            and live.node_name == self.node_name
            and self.node_uid in live.owners
            and self.annotations.items() <= live.annotations.items()
            and live.features_by(manager) == render_features(self.features)
        )


def node_label_problem(node_name: str) -> str | None:
    """Why no NodeFeature object can be about this Node, or None: a label names the Node, and takes less than a Node's name may have."""
    problem = value_problem(node_name)
    return f"the label {NODE_NAME_LABEL} cannot name the Node {node_name}: {problem}" if problem else None


def parse_node_feature(obj: Mapping[str, Any], *, look: int = 0) -> NodeFeatureView:
    """A NodeFeature object, as JSON gives it. Anybody may have written it: what is not of the right form counts as absent."""
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
        owned=owned_keys(managed, "spec", "labels"),
        managed=managed,
        look=look,
    )


def render_node_feature(wanted: NodeFeature, *, name: str, namespace: str) -> dict[str, Any]:
    """The body of a server-side apply that makes `wanted` all that a field manager owns of the object.

    No labels are left unsaid: of labels that become `{}` the API server makes null, and refuses that.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {NODE_NAME_LABEL: wanted.node_name},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": wanted.node_name, "uid": wanted.node_uid}],
    }
    if wanted.annotations:
        metadata["annotations"] = dict(wanted.annotations)
    return {
        "apiVersion": API_VERSION,
        "kind": "NodeFeature",
        "metadata": metadata,
        "spec": {
            **({"labels": dict(wanted.labels)} if wanted.labels else {}),
            "features": render_features(wanted.features),
        },
    }


def without_empty(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same apply without features that have no elements, and without kinds of features that then have none."""
    features = {
        kind: {name: feature for name, feature in named.items() if feature["elements"]}
        for kind, named in body["spec"]["features"].items()
    }
    return {**body, "spec": {**body["spec"], "features": {kind: named for kind, named in features.items() if named}}}


def render_features(features: Features) -> dict[str, Any]:
    """spec.features. The three maps are always there, empty ones too, as GPU Feature Discovery writes them."""
    return {
        "flags": {name: {"elements": {flag: {} for flag in sorted(flags)}} for name, flags in features.flags.items()},
        "attributes": {name: {"elements": dict(values)} for name, values in features.attributes.items()},
        "instances": {
            name: {"elements": [{"attributes": dict(instance)} for instance in instances]}
            for name, instances in features.instances.items()
        },
    }
