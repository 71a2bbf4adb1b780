"""What the teller needs of the Kubernetes API, over the connection of our Node's. Raises KubeError."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from node_core.errors import KubeError
from node_core.runtime.node_link import NodeLink

STRATEGIC = "application/strategic-merge-patch+json"


class NodeCluster:
    """agent: the field manager."""

    def __init__(self, node: NodeLink, agent: str) -> None:
        from node_core.kube.events import EventApi  # noqa: PLC0415 - as NodeLink does

        self._api = node.api
        self._events = EventApi(node.api)
        self._agent = agent

    def read_node(self) -> Mapping[str, Any]:
        return self._api.request("GET", self._path)

    def patch_status(self, patch: Mapping[str, Any]) -> None:
        query = {"fieldManager": self._agent}
        self._api.request("PATCH", f"{self._path}/status", query=query, body=patch, content=STRATEGIC)

    def create_event(self, event: Mapping[str, Any]) -> None:
        self._events.create(event)

    def pod_uid(self, namespace: str, name: str) -> str | None:
        """None where there is no such pod any more."""
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
        try:
            return str(self._api.request("GET", path)["metadata"]["uid"])
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{quote(self._api.node_name, safe='')}"
