"""Creates Events, and reads the uids of their pods."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from node_core.errors import KubeError
from node_core.kube.http import ApiClient


class EventApi:
    """Satisfies runtime.event_recorder.EventApi."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def create(self, event: Mapping[str, Any]) -> None:
        """Creates an Event. An existing Event of this name is not an error: another node has recorded it. Raises KubeError."""
        path = f"/api/v1/namespaces/{quote(event['metadata']['namespace'], safe='')}/events"
        try:
            self._api.request("POST", path, body=event, content="application/json")
        except KubeError as error:
            if error.status != 409:
                raise

    def pod_uid(self, namespace: str, name: str) -> str | None:
        """Reads the uid of a pod. Returns None if the pod does not exist. Raises KubeError."""
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
        try:
            return str(self._api.request("GET", path)["metadata"]["uid"])
        except KubeError as error:
            if error.status == 404:
                return None
            raise
