"""What the cluster contributes to the labels of a host: NodeFeatureRules, and the labels of the Node that rules can match."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gpunode.cluster.connection import connect
from gpunode.cluster.lists import get_object
from gpunode.labels.rule_objects import Objects, list_cluster_rules
from node_core.domain.node import NodeView, parse_node
from node_core.errors import KubeError
from node_core.kube.cluster import SERVICE_ACCOUNT
from node_core.kube.http import ApiClient, parse_response


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """rules: NodeFeatureRules by name. node: an empty Node if the Node was not read. note: why the cluster was not read, or None."""

    node: NodeView
    rules: Objects = field(default_factory=dict)
    note: str | None = None


def read_cluster(
    node_name: str,
    kubeconfig: str | None,
    context: str | None,
    *,
    with_rules: bool,
    environment: Mapping[str, str] = os.environ,
) -> ClusterState:
    """Reads the cluster if a flag or KUBECONFIG names one, or in a pod. Raises KubeError if a flag names a cluster that cannot be read."""
    empty = ClusterState(node=NodeView(name=node_name, uid="", resource_version="", labels={}))
    is_requested = bool(kubeconfig or context)
    if not (is_requested or environment.get("KUBECONFIG") or (SERVICE_ACCOUNT / "token").exists()):
        return empty
    try:
        api = connect(kubeconfig, context, environment=environment).api
        node = read_node(api, node_name) if node_name else None
        return ClusterState(node=node or empty.node, rules=list_cluster_rules(api) if with_rules else {})
    except KubeError as error:
        if is_requested:
            raise
        return ClusterState(node=empty.node, note=f"the NodeFeatureRules of the cluster are not included: {error}")


def read_node(api: ApiClient, name: str) -> NodeView:
    """Raises KubeError, also if the Node does not exist."""
    obj = get_object(api, f"/api/v1/nodes/{quote(name, safe='')}", dict[str, Any], "nodes")
    if obj is None:
        raise KubeError(f"the Node {name} does not exist", status=404, hint="correct --node-name")
    return parse_response(parse_node, obj)
