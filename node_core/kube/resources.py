"""The resources that agents watch: path, selector, and the cached part of each object."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from node_core.domain.node import NodeView, parse_node
from node_core.domain.node_feature import (
    API_VERSION,
    NODE_NAME_LABEL,
    OPENSHIFT_GROUP,
    NodeFeatureView,
    parse_node_feature,
)

View = TypeVar("View")

MAX_OBJECTS = 5000
"""More objects would not fit into an agent's memory."""

Obj = Mapping[str, Any]
Objects = Mapping[str, Obj]
"""`name` or `namespace/name` -> the JSON of the object without managedFields."""

RULES_CRD_HINT = "to use NodeFeatureRules, apply manifests/crds"
NODE_FEATURE_CRD_HINT = (
    "is the NodeFeature CRD installed? `kubectl get crd nodefeatures.nfd.k8s-sigs.io`;"
    " if not, apply manifests/crds, or set --publish node"
)


class Resource(msgspec.Struct, Generic[View], frozen=True, kw_only=True):
    """description: the objects, for messages. path: the path of the collection. selector: the query that selects objects.

    parse: returns the cached value of an object, or None to ignore the object. Its second argument is the number of the preceding list (see
    versions.Versioned).
    hint: what to do if the cluster lacks the kind. is_optional: most clusters lack the kind. max_objects: more objects are an error.
    has_only_metadata: the API server sends the metadata of the objects alone.
    """

    description: str
    path: str
    parse: Callable[[Obj, int], View | None]
    selector: Mapping[str, str] = msgspec.field(default_factory=dict)
    hint: str | None = None
    is_optional: bool = False
    max_objects: int = MAX_OBJECTS
    has_only_metadata: bool = False

    @property
    def missing(self) -> tuple[int, ...]:
        """The statuses of a missing kind. To a client without rights, the API server returns 403 also for a kind that it does not know."""
        return (403, 404) if self.is_optional else (404,)


def node(name: str) -> Resource[NodeView]:
    """Selects one Node from the collection: unlike a single object, a collection has a list with a version for the watch."""
    return Resource(
        description=f"Node {name}",
        path="/api/v1/nodes",
        selector=select_by_name(name),
        parse=lambda obj, lists: parse_node(obj, list_number=lists),
    )


def node_feature(namespace: str, name: str) -> Resource[NodeFeatureView]:
    """Selects one NodeFeature."""
    return Resource(
        description=f"NodeFeature {namespace}/{name}",
        path=f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/nodefeatures",
        selector=select_by_name(name),
        parse=lambda obj, lists: parse_node_feature(obj, list_number=lists),
        hint=NODE_FEATURE_CRD_HINT,
    )


def node_features_of(node_name: str) -> Resource[Obj]:
    """Selects the NodeFeatures about this Node in all namespaces."""
    return Resource(
        description=f"NodeFeatures of the Node {node_name}",
        path=f"/apis/{API_VERSION}/nodefeatures",
        selector={"labelSelector": f"{NODE_NAME_LABEL}={node_name}"},
        parse=without_managed_fields,
        hint=RULES_CRD_HINT,
    )


def node_feature_rules() -> Resource[Obj]:
    """Selects all NodeFeatureRules."""
    path = f"/apis/{API_VERSION}/nodefeaturerules"
    return Resource(description="NodeFeatureRules", path=path, parse=without_managed_fields, hint=RULES_CRD_HINT)


def openshift_rules() -> Resource[Obj]:
    """Selects the NodeFeatureRules of OpenShift. Their CRD is namespaced in some versions of OpenShift."""
    path = f"/apis/{OPENSHIFT_GROUP}/v1alpha1/nodefeaturerules"
    return Resource(
        description="NodeFeatureRules of OpenShift", path=path, parse=without_managed_fields, is_optional=True
    )


def config_map(namespace: str, name: str) -> Resource[Obj]:
    """Selects one ConfigMap."""
    return Resource(
        description=f"the ConfigMap {namespace}/{name}",
        path=f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps",
        selector=select_by_name(name),
        parse=without_managed_fields,
    )


def select_by_name(name: str) -> dict[str, str]:
    """Returns the query that selects one object of a collection."""
    return {"fieldSelector": f"metadata.name={name}"}


def without_managed_fields(obj: Obj, _: int) -> Obj:
    """Removes managedFields, which are half of an object and are needed only for writes."""
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}
