"""Requests for the NodeResourceTopology object of one Node."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from nfd_lite.topology.node_topology import API_VERSION, MANAGER, TopologyView, parse_topology
from node_core.errors import KubeError
from node_core.kube.client import APPLY, NodeApi
from node_core.kube.http import JSON, parse_response
from node_core.kube.resources import Resource, select_by_name

CRD_HINT = (
    "is its CRD installed? `kubectl get crd noderesourcetopologies.topology.node.k8s.io`; if not, apply manifests/crds"
)
_PATH = f"/apis/{API_VERSION}/noderesourcetopologies"


def topology_resource(node_name: str) -> Resource[TopologyView]:
    """Selects the object of one Node, for an informer."""
    return Resource(
        description=f"NodeResourceTopology {node_name}",
        path=_PATH,
        selector=select_by_name(node_name),
        parse=lambda obj, lists: parse_topology(obj, list_number=lists),
        hint=CRD_HINT,
    )


class TopologyApi:
    """Reads and writes the object, whose name is the name of the Node."""

    def __init__(self, api: NodeApi) -> None:
        self.node_name = api.node_name
        self._api = api

    def get(self) -> TopologyView | None:
        """Reads the object. Returns None if the object does not exist. Raises KubeError, also if the cluster lacks the kind."""
        try:
            return parse_response(parse_topology, self._api.request("GET", self._path))
        except KubeError as error:
            if error.status == 404 and f'"{self.node_name}" not found' in error.message:
                return None
            raise _with_hint(error) from error

    def apply(self, body: Mapping[str, Any]) -> TopologyView:
        """Server-side apply, which creates a missing object. Takes fields from other field managers. Raises KubeError."""
        query = {"fieldManager": MANAGER, "force": "true"}
        try:
            response = self._api.request("PATCH", self._path, query=query, body=body, content=APPLY)
        except KubeError as error:
            raise _with_hint(error) from error
        return parse_response(parse_topology, response)

    def delete(self, observed: TopologyView) -> None:
        """Deletes the object. Raises KubeError 409 if the object has changed since `observed`."""
        same = {"uid": observed.uid, "resourceVersion": observed.resource_version}
        self._api.request("DELETE", self._path, body={"preconditions": same}, content=JSON)

    @property
    def _path(self) -> str:
        return f"{_PATH}/{quote(self.node_name, safe='')}"


def _with_hint(error: KubeError) -> KubeError:
    """Returns the error, with a suitable hint for a 404: the general hint is about Nodes."""
    return KubeError(error.message, status=404, hint=CRD_HINT) if error.status == 404 else error
