"""NodeFeatures, groups and Nodes for the tests."""

from collections.abc import Mapping
from typing import Any

from gpu_operator.feature_groups.values import ValuePool
from gpu_operator.feature_groups.views import (
    GroupView,
    NodeFeatureView,
    NodeMetadata,
    parse_group,
    parse_node_feature,
)
from node_core.domain.features import Features
from node_core.domain.node_feature import API_VERSION, NODE_NAME_LABEL, render_features

NAMESPACE = "gpunode"
KERNEL = Features(attributes={"kernel.version": {"major": "6", "full": "6.1.0"}})


def node_feature(
    node: str, features: Features, *, name: str | None = None, namespace: str = NAMESPACE
) -> dict[str, Any]:
    """name: None for the object of the worker."""
    metadata = {"name": name or node, "namespace": namespace, "labels": {NODE_NAME_LABEL: node}}
    spec = {"features": render_features(features)}
    return {"apiVersion": API_VERSION, "kind": "NodeFeature", "metadata": metadata, "spec": spec}


def view(
    node: str, features: Features, pool: ValuePool, *, name: str | None = None, namespace: str = NAMESPACE
) -> NodeFeatureView:
    parsed = parse_node_feature(node_feature(node, features, name=name, namespace=namespace), pool)
    assert parsed is not None
    return parsed


def rule(name: str = "r", /, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def term(feature: str, **expressions: Any) -> dict[str, Any]:
    """expressions: element -> operator, or operator and values. `__` in an element stands for a dot."""
    parsed = {
        key.replace("__", "."): {"op": each} if isinstance(each, str) else {"op": each[0], "value": list(each[1:])}
        for key, each in expressions.items()
    }
    return {"feature": feature, **({"matchExpressions": parsed} if parsed else {})}


def group_object(*rules: Any, name: str = "g", generation: int = 1, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": generation}
    spec = {"featureGroupRules": list(rules)}
    return {"apiVersion": API_VERSION, "kind": "NodeFeatureGroup", "metadata": metadata, "spec": spec, **more}


def group(*rules: Any, **more: Any) -> GroupView:
    return parse_group(group_object(*rules, **more))


def nodes(*names: str, labels: Mapping[str, str] | None = None) -> dict[str, NodeMetadata]:
    return {name: NodeMetadata(uid=f"uid-{name}", labels=dict(labels or {})) for name in names}
