"""Cordons this Node, and uncordons it if this program has cordoned it. An annotation, written in the same request, records that.

Source: Kubernetes API v1, Node spec.unschedulable; RFC 7386 (JSON merge patch).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog

from node_core.errors import KubeError
from node_core.kube.client import MERGE_PATCH
from node_core.kube.http import ApiClient

log = structlog.get_logger(__name__)

CORDON = "gpunode.nvidia.com/driver-cordon"
ATTEMPTS = 5
"""Maximum attempts of one write if other clients change the Node between the attempts."""
Patch = Mapping[str, Any]


def plan_cordon(node: Mapping[str, Any]) -> Patch | None:
    """Returns the patch that cordons the Node; None if the Node is cordoned, whoever has done that. PURE."""
    if (node.get("spec") or {}).get("unschedulable"):
        return None
    return {"spec": {"unschedulable": True}, "metadata": {"annotations": {CORDON: "true"}}}


def plan_uncordon(node: Mapping[str, Any]) -> Patch | None:
    """Returns the patch that uncordons the Node; None if this program has not cordoned it. PURE."""
    if CORDON not in (node["metadata"].get("annotations") or {}):
        return None
    return {"spec": {"unschedulable": None}, "metadata": {"annotations": {CORDON: None}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCordon:
    """Needs `get` and `patch` on nodes. Each call raises KubeError."""

    api: ApiClient
    node_name: str
    manager: str

    def begin(self) -> None:
        if self._write(plan_cordon):
            log.info("node_cordoned", node=self.node_name)

    def end(self) -> None:
        if self._write(plan_uncordon):
            log.info("node_uncordoned", node=self.node_name)

    def _write(self, plan: Callable[[Mapping[str, Any]], Patch | None]) -> bool:
        """Plans and writes to the present Node. Returns whether something had to be written."""
        path = f"/api/v1/nodes/{quote(self.node_name, safe='')}"
        for attempt in range(1, ATTEMPTS + 1):
            node = self.api.request("GET", path)
            if (patch := plan(node)) is None:
                return False
            metadata = {**patch["metadata"], "resourceVersion": node["metadata"]["resourceVersion"]}
            try:
                query = {"fieldManager": self.manager}
                self.api.request("PATCH", path, query=query, body={**patch, "metadata": metadata}, content=MERGE_PATCH)
            except KubeError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
            else:
                return True
        return False
