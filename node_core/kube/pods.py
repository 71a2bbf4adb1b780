"""Evicts and deletes pods. Needs `create` on pods/eviction, and `delete` on pods.

Source: Kubernetes documentation, API-initiated Eviction.
"""

from collections.abc import Mapping
from urllib.parse import quote

from node_core.errors import KubeError
from node_core.kube.http import ApiClient

_JSON = "application/json"


class PodApi:
    """Each call raises KubeError. A pod that does not exist is not an error."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def evict(self, namespace: str, name: str) -> None:
        """Requests the eviction of a pod. Raises KubeError with the status 429 while a disruption budget forbids the eviction."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }
        self._send("POST", f"{_path(namespace, name)}/eviction", body)

    def delete(self, namespace: str, name: str) -> None:
        """Deletes a pod with its own grace period, whatever its disruption budget is."""
        self._send("DELETE", _path(namespace, name), {"apiVersion": "v1", "kind": "DeleteOptions"})

    def _send(self, method: str, path: str, body: Mapping[str, object]) -> None:
        try:
            self._api.request(method, path, body=body, content=_JSON)
        except KubeError as error:
            if error.status != 404:
                raise


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
