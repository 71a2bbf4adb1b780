"""The resources that the controller of groups watches, and the requests for the status."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gpu_operator.feature_groups.values import ValuePool
from gpu_operator.feature_groups.views import (
    GroupView,
    NodeFeatureView,
    NodeMetadata,
    parse_group,
    parse_node_feature,
    parse_node_metadata,
)
from node_core.domain.node_feature import API_VERSION
from node_core.kube.client import MERGE_PATCH
from node_core.kube.http import ApiClient, parse_response
from node_core.kube.resources import Resource

MAX_NODES = 50_000
MAX_GROUPS = 1000
CRD_HINT = "to use NodeFeatureGroups, apply manifests/crds"


def node_metadata() -> Resource[NodeMetadata]:
    """Selects the metadata of all Nodes: a heartbeat changes a Node, but sends no status."""
    return Resource(
        description="Nodes",
        path="/api/v1/nodes",
        parse=lambda obj, _: parse_node_metadata(obj),
        max_objects=MAX_NODES,
        has_only_metadata=True,
    )


def all_node_features() -> Resource[NodeFeatureView]:
    """Selects the NodeFeatures of all namespaces."""
    pool = ValuePool()
    return Resource(
        description="NodeFeatures",
        path=f"/apis/{API_VERSION}/nodefeatures",
        parse=lambda obj, _: parse_node_feature(obj, pool),
        max_objects=2 * MAX_NODES,
    )


def groups_of(namespace: str) -> Resource[GroupView]:
    """Selects the NodeFeatureGroups of one namespace."""
    return Resource(
        description=f"NodeFeatureGroups of the namespace {namespace}",
        path=_groups(namespace),
        parse=lambda obj, _: parse_group(obj),
        hint=CRD_HINT,
        max_objects=MAX_GROUPS,
    )


class GroupApi:
    """Writes the status of groups."""

    def __init__(self, api: ApiClient, manager: str) -> None:
        self._api = api
        self._manager = manager

    def write_status(self, group: GroupView, patch: Mapping[str, Any]) -> GroupView:
        """Sends a merge patch. Raises KubeError, also with status 409 if another object has the same name now."""
        path = f"{_groups(group.namespace)}/{quote(group.name, safe='')}/status"
        response = self._api.request(
            "PATCH", path, query={"fieldManager": self._manager}, body=patch, content=MERGE_PATCH
        )
        return parse_response(parse_group, response)


def _groups(namespace: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/nodefeaturegroups"
