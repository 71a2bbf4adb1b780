"""A client of the API server that refuses writes of a controller that does not lead."""

from collections.abc import Callable
from typing import Any

import urllib3

from node_core.errors import KubeError
from node_core.kube.http import ApiClient


class NotLeaderError(KubeError):
    """Another controller leads, or the Lease could not be renewed in time. The write was not sent."""


class LeaderClient(ApiClient):
    """Raises NotLeaderError in place of a write while `is_leader` returns False. Reads are always sent."""

    def __init__(self, *, kubeconfig: str | None, user_agent: str, is_leader: Callable[[], bool]) -> None:
        super().__init__(kubeconfig=kubeconfig, user_agent=user_agent)
        self._is_leader = is_leader

    def open(self, verb: str, path: str, **request: Any) -> urllib3.BaseHTTPResponse:
        if verb != "GET" and not self._is_leader():
            raise NotLeaderError(f"{verb} {path}: this controller does not lead")
        return super().open(verb, path, **request)
