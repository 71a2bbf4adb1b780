"""Lists the pods of a Node, and evicts and deletes pods.

Needs `list` on pods, `create` on pods/eviction, and `delete` on pods, each only for its call. Source: Kubernetes documentation,
API-initiated Eviction; the field selector spec.nodeName of pods.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from node_core.errors import KubeError
from node_core.kube.http import ApiClient, parse_response
from node_core.scheduling.objects import Pod

_JSON = "application/json"


class _PodList(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Pod, ...]


class PodApi:
    """Each call raises KubeError. A pod that does not exist is not an error."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list_on_node(self, node_name: str) -> tuple[Pod, ...]:
        """Returns the pods of a Node in all namespaces, also those that have ended."""
        query = {"fieldSelector": f"spec.nodeName={node_name}"}
        return parse_response(parse_pods, self._api.request("GET", "/api/v1/pods", query=query))

    def evict(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Requests the eviction of a pod. Raises KubeError with the status 429 while a disruption budget forbids the eviction.

        uid: of the pod; then a pod with the same name and another uid is not evicted, and the status is 409.
        """
        body: dict[str, object] = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }
        if uid is not None:
            body["deleteOptions"] = {"preconditions": {"uid": uid}}
        self._send("POST", f"{_path(namespace, name)}/eviction", body)

    def delete(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Deletes a pod with its own grace period, whatever its disruption budget is. uid: see `evict`."""
        precondition = {} if uid is None else {"preconditions": {"uid": uid}}
        self._send("DELETE", _path(namespace, name), {"apiVersion": "v1", "kind": "DeleteOptions", **precondition})

    def _send(self, method: str, path: str, body: Mapping[str, object]) -> None:
        try:
            self._api.request(method, path, body=body, content=_JSON)
        except KubeError as error:
            if error.status != 404:
                raise


def parse_pods(response: Mapping[str, Any]) -> tuple[Pod, ...]:
    """Parses a list of pods. Raises ValueError for an object that is not a pod. PURE."""
    return msgspec.convert(response, type=_PodList).items


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
