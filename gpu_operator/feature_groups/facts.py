"""Combines the features of one Node from its NodeFeature objects and its labels. PURE.

NodeFeature objects come first: the labels supply only features that no object has. A feature in neither is not known if the agent of the
Node publishes labels alone. Otherwise the Node does not have the feature.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gpu_operator.feature_groups.from_labels import features_of_labels, has_agent
from gpu_operator.feature_groups.values import UNKNOWN, FeatureValue, ValuePool, Values
from gpu_operator.feature_groups.views import NodeFeatureView, NodeMetadata
from nfd_lite.feature_names import FEATURE_NAMES
from nfd_lite.node_labels import NODE_LABEL
from node_core.domain.labels import GFD_TIMESTAMP

SYSTEM_NAME = "system.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """values: of the features that are known. is_partial: features of the host that are not in `values` are not known."""

    values: Values = field(default_factory=dict)
    is_partial: bool = False

    def find(self, feature: str) -> FeatureValue | None:
        """Returns the value of a feature; None if the Node does not have the feature. feature: in lower case."""
        value = self.values.get(feature)
        if value is None and self.is_partial and feature in FEATURE_NAMES:
            return UNKNOWN
        return value


def combine_facts(
    name: str, node: NodeMetadata, objects: Iterable[NodeFeatureView], *, namespace: str, pool: ValuePool
) -> NodeFacts:
    """objects: the NodeFeatures of this Node. namespace: that of the controller, whose objects come first."""
    ordered = sorted(objects, key=lambda each: (each.namespace != namespace, each.name, each.namespace))
    values: dict[str, FeatureValue] = {}
    for each in ordered:
        for feature, value in each.values.items():
            values[feature] = pool.merge(values[feature], value) if feature in values else value
    is_partial = not any(each.is_of_worker for each in ordered) and has_agent(node.labels)
    if is_partial:
        values = {**pool.intern_features(features_of_labels(node.labels), is_partial=True), **values}
    values[SYSTEM_NAME] = pool.merge(values.get(SYSTEM_NAME, _NO_VALUE), _attributes(pool, {"nodename": name}))
    values[NODE_LABEL] = _attributes(pool, {key: each for key, each in node.labels.items() if key != GFD_TIMESTAMP})
    return NodeFacts(values=values, is_partial=is_partial)


_NO_VALUE = FeatureValue()


def _attributes(pool: ValuePool, attributes: Mapping[str, str]) -> FeatureValue:
    return pool.intern(attributes=attributes)
