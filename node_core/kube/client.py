"""Reads and writes one Node. The requests contain plain paths and JSON, because a typed client library costs each agent tens of MiB.

Source: Kubernetes API concepts, server-side apply.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from node_core.domain.extended_resources import ResourcePlan, render_clearing
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView, parse_node, render_capacity_patch, render_metadata_patch
from node_core.domain.taints import TaintPlan, render_taint_patch
from node_core.errors import KubeError
from node_core.kube.http import TIMEOUT, ApiClient, parse_response

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class NodeApi(ApiClient):
    """Reads and writes one Node. Other APIs use this client for their requests, so a process has one pool of connections."""

    def __init__(
        self, node_name: str, *, kubeconfig: str | None, user_agent: str, timeout: tuple[float, float] = TIMEOUT
    ) -> None:
        super().__init__(kubeconfig=kubeconfig, user_agent=user_agent, timeout=timeout)
        self.node_name = node_name

    def get(self) -> NodeView:
        return parse_response(parse_node, self.request("GET", self._path))

    def apply_labels(
        self, manager: str, labels: Labels, *, annotations: Mapping[str, str] | None = None, force: bool
    ) -> NodeView:
        """Server-side apply. Afterwards `manager` owns exactly these labels and annotations.

        Without force, raises KubeError 409 on a conflict.
        """
        return self._apply(self._path, manager, render_metadata_patch(self.node_name, labels, annotations or {}), force)

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView:
        """Server-side apply. Afterwards `manager` owns exactly the planned resources in status.capacity.

        Raises KubeError 409 on a conflict, and if a resource to clear has changed.
        """
        path = f"{self._path}/status"
        if plan.cleared:
            self._clear_capacity(path, manager, plan)
        return self._apply(path, manager, render_capacity_patch(self.node_name, plan.resources), force=False)

    def _clear_capacity(self, path: str, manager: str, plan: ResourcePlan) -> None:
        try:
            query = {"fieldManager": manager}
            self.request("PATCH", path, query=query, body=render_clearing(plan.cleared), content=JSON_PATCH)
        except KubeError as error:
            status = 409 if error.status == 422 else error.status
            raise KubeError(f"cannot clear the capacity: {error.message}", status=status, hint=error.hint) from error

    def _apply(self, path: str, manager: str, patch: Mapping[str, Any], force: bool) -> NodeView:
        query = {"fieldManager": manager, "force": str(force).lower()}
        response = self.request("PATCH", path, query=query, body=patch, content=APPLY)
        return parse_response(parse_node, response)

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView:
        """Writes the planned taints, and records the owned taints in the annotation, in one step.

        Raises KubeError 409 if the Node has changed since `observed`.
        """
        patch = render_taint_patch(
            plan,
            taints_annotation=taints_annotation,
            version=observed.resource_version,
            tainted=bool(observed.taints),
            annotations=observed.annotations,
        )
        query = {"fieldManager": manager}
        try:
            node = self.request("PATCH", self._path, query=query, body=patch, content=JSON_PATCH)
        except KubeError as error:
            if error.status == 422 and self.get().resource_version != observed.resource_version:
                raise KubeError(f"cannot write the taints: {error.message}", status=409) from error
            raise
        return parse_response(parse_node, node)

    def patch_metadata(
        self,
        manager: str,
        *,
        labels: Mapping[str, str | None],
        annotations: Mapping[str, str | None],
        version: str,
    ) -> NodeView:
        """Sets labels and annotations of others in one step. None removes a key; other keys stay.

        version: the resource version of the Node for which the patch was planned. Raises KubeError 409 if the Node has another one.
        """
        metadata = {"resourceVersion": version, "labels": dict(labels), "annotations": dict(annotations)}
        query = {"fieldManager": manager}
        node = self.request("PATCH", self._path, query=query, body={"metadata": metadata}, content=MERGE_PATCH)
        return parse_response(parse_node, node)

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView:
        """Sends a strategic merge patch of the status, in which conditions merge by type."""
        query = {"fieldManager": manager}
        response = self.request("PATCH", f"{self._path}/status", query=query, body=patch, content=STRATEGIC)
        return parse_response(parse_node, response)

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{quote(self.node_name, safe='')}"
