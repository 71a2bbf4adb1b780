"""The cached part of each object that the informers observe. PURE.

Source: Node Feature Discovery's API, NodeFeature and NodeFeatureGroup, nfd.k8s-sigs.io/v1alpha1; Kubernetes API concepts,
PartialObjectMetadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpu_operator.feature_groups.values import UNKNOWN, ValuePool, Values
from nfd_lite.merge import MAX_ELEMENTS, FeatureProblem, NodeFeatureReader, count_elements
from nfd_lite.rules.decode import MAX_PATTERNS, count_patterns, decode_rule
from nfd_lite.rules.model import Rule
from node_core.decode import Cursor
from node_core.domain.labels import Labels
from node_core.domain.node_feature import NODE_NAME_LABEL

Obj = Mapping[str, Any]
RULE_FIELDS = ("name", "vars", "varsTemplate", "matchFeatures", "matchAny")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetadata:
    """uid, labels: of a Node."""

    uid: str
    labels: Labels


def parse_node_metadata(obj: Obj) -> NodeMetadata:
    metadata = obj["metadata"]
    return NodeMetadata(uid=str(metadata.get("uid", "")), labels=dict(metadata.get("labels") or {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFeatureView:
    """A NodeFeature object. node_name: of the label. problems: the entries that were left out."""

    namespace: str
    name: str
    node_name: str
    values: Values
    problems: tuple[FeatureProblem, ...] = ()

    @property
    def is_of_worker(self) -> bool:
        """True for the object of nfd-worker or nfd-lite, which contains all features of the host. Those of others contain some."""
        return self.name == self.node_name


def parse_node_feature(obj: Obj, pool: ValuePool) -> NodeFeatureView | None:
    """Returns None for an object without the label that names the Node: such an object has no effect."""
    metadata = obj["metadata"]
    node_name = (metadata.get("labels") or {}).get(NODE_NAME_LABEL)
    if not node_name:
        return None
    reader = NodeFeatureReader(obj)
    features = reader.features()
    values: Values
    if (size := count_elements(features)) > MAX_ELEMENTS:
        reader.note("spec.features", f"has {size} elements; the maximum is {MAX_ELEMENTS}")
        values = dict.fromkeys(map(str.lower, features.names), UNKNOWN)
    else:
        values = pool.intern_features(features)
    return NodeFeatureView(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        node_name=str(node_name),
        values=values,
        problems=reader.problems(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """The observed status. nodes: sorted. condition: type -> the condition; empty if the CRD has no conditions."""

    nodes: tuple[str, ...] = ()
    conditions: Mapping[str, Obj] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A NodeFeatureGroup. rules: in order. problems: why the spec cannot be decoded; the rules are then empty.

    resource_version: changes also after a write of the status. generation: changes only with the spec.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    rules: tuple[Rule, ...]
    status: StatusView
    problems: tuple[str, ...] = ()

    @property
    def version(self) -> tuple[str, int]:
        """Equal for two states of an object with the same spec."""
        return self.uid, self.generation


def parse_group(obj: Obj) -> GroupView:
    metadata = obj["metadata"]
    rules, problems = decode_group(obj.get("spec"))
    return GroupView(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        resource_version=str(metadata.get("resourceVersion", "")),
        rules=rules,
        status=parse_status(obj.get("status")),
        problems=problems,
    )


def decode_group(spec: Any) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Returns the rules, and why the spec cannot be used. A problem of one rule is in Rule.problems."""
    cursor = Cursor(value=spec, path="spec")
    fields = cursor.fields(("featureGroupRules",), required=("featureGroupRules",))
    items = list(fields["featureGroupRules"].items()) if "featureGroupRules" in fields else []
    for item in items:
        item.fields(RULE_FIELDS)
    if (patterns := count_patterns(spec)) > MAX_PATTERNS:
        cursor.report(f"has {patterns} patterns; the maximum is {MAX_PATTERNS}")
    if cursor.problems:
        return (), tuple(cursor.problems)
    return tuple(map(decode_rule, items)), ()


def parse_status(status: Any) -> StatusView:
    status = status if isinstance(status, Mapping) else {}
    conditions = status.get("conditions")
    return StatusView(
        nodes=tuple(sorted(each["name"] for each in status.get("nodes") or ())),
        conditions={each["type"]: each for each in conditions} if conditions else None,
    )
