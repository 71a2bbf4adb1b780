"""Creates Events, over the connection of our Node's API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from node_core.errors import KubeError
from node_core.kube.client import NodeApi


class EventApi:
    """See runtime.rule_reporter."""

    def __init__(self, api: NodeApi) -> None:
        self._api = api

    def create(self, event: Mapping[str, Any]) -> None:
        """An Event of this name may be there already: somebody else has told it. Raises KubeError."""
        path = f"/api/v1/namespaces/{quote(event['metadata']['namespace'], safe='')}/events"
        try:
            self._api.request("POST", path, body=event, content="application/json")
        except KubeError as error:
            if error.status != 409:
                raise
