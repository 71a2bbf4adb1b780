"""Reads all pods of the Nodes that the upgrade works on, and which of them have GPUs by ResourceClaims.

gpu-operator watches only the pods of drivers.
"""

from collections.abc import Mapping

from gpu_core.pods.claimants import ClaimantFinder
from gpu_core.pods.eviction import DrainPod, parse_drain_pods
from gpu_operator.view import ClusterView, Obj, upgrading_nodes
from node_core.kube.http import ApiClient, parse_response
from node_core.kube.informer import object_key
from node_core.kube.resources import without_managed_fields
from node_core.values import replace


def add_workloads(view: ClusterView, api: ApiClient, claimants: ClaimantFinder) -> ClusterView:
    """Returns the view with the pods of these Nodes. Sends a request for each Node and ResourceClaim. Raises KubeError."""
    pods: dict[str, Obj] = {}
    parsed: list[DrainPod] = []
    for name in upgrading_nodes(view.nodes):
        query = {"fieldSelector": f"spec.nodeName={name}"}
        response = api.request("GET", "/api/v1/pods", query=query)
        pods |= parse_response(_parse_pods, response)
        parsed += parse_response(parse_drain_pods, response)
    return replace(view, pods={**pods, **view.pods}, claimants=claimants.find(parsed)) if pods else view


def _parse_pods(response: Obj) -> Mapping[str, Obj]:
    return {object_key(each): without_managed_fields(each, 0) for each in response.get("items") or ()}
