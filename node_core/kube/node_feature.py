"""Requests about one NodeFeature object, over the connection of our Node's API."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from node_core.domain.node_feature import (
    API_VERSION,
    NodeFeature,
    NodeFeatureView,
    parse_node_feature,
    render_node_feature,
    without_empty,
)
from node_core.errors import KubeError
from node_core.kube.client import APPLY, NodeApi, only, understand

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"

_NO_CRD = (
    "is the NodeFeature CRD installed? `kubectl get crd nodefeatures.nfd.k8s-sigs.io`;"
    " else apply manifests/crds, or publish with --publish node"
)


def read_pod_namespace(file: Path = POD_NAMESPACE) -> str:
    """The namespace of the pod we run in; `default` outside of a pod, as kubectl takes it."""
    return pod_namespace(file) or DEFAULT_NAMESPACE


def pod_namespace(file: Path = POD_NAMESPACE) -> str | None:
    """The namespace of the pod we run in; None outside of a pod."""
    try:
        return file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class NodeFeatureApi:
    """Reads and applies one object. prefix: what stands before the Node's name in its name."""

    def __init__(self, api: NodeApi, *, namespace: str, prefix: str = "") -> None:
        self.name = f"{prefix}{api.node_name}"
        self.namespace = namespace
        self._api = api
        self._looks = 0

    def get(self) -> NodeFeatureView | None:
        """The object, None when there is none. Raises KubeError, also when its kind is not known to the cluster."""
        try:
            return understand(parse_node_feature, self._api.request("GET", self._path))
        except KubeError as error:
            if _is_no_object(error, self.name):
                return None
            raise self._explained(error) from error

    def apply(self, manager: str, wanted: NodeFeature, *, force: bool) -> NodeFeatureView:
        """Server-side apply, which also creates. Without force a conflict is KubeError 409.

        Of a map that an apply empties the API server makes null, and refuses that: so it goes first, and is there empty then.
        """
        body = render_node_feature(wanted, name=self.name, namespace=self.namespace)
        try:
            return self._apply(manager, body, force)
        except KubeError as error:
            if error.status != 422:
                raise
        self._apply(manager, without_empty(body), force)
        return self._apply(manager, body, force)

    def _apply(self, manager: str, body: Mapping[str, Any], force: bool) -> NodeFeatureView:
        query = {"fieldManager": manager, "force": str(force).lower()}
        try:
            answer = self._api.request("PATCH", self._path, query=query, body=body, content=APPLY)
            return understand(parse_node_feature, answer)
        except KubeError as error:
            raise self._explained(error) from error

    def delete(self, seen: NodeFeatureView) -> None:
        """The object as it was seen. KubeError 409 when it is not any more."""
        same = {"uid": seen.uid, "resourceVersion": seen.resource_version}
        self._api.request("DELETE", self._path, body={"preconditions": same}, content="application/json")

    def release(self, manager: str) -> None:
        """Takes away what `manager` alone applied of the object; the rest stays."""
        metadata = {"name": self.name, "namespace": self.namespace}
        body = {"apiVersion": API_VERSION, "kind": "NodeFeature", "metadata": metadata}
        self._api.request("PATCH", self._path, query={"fieldManager": manager}, body=body, content=APPLY)

    def look(self) -> tuple[NodeFeatureView | None, str]:
        """The object and the version from which to watch it; see watch.ObjectWatch."""
        try:
            found = self._api.request("GET", self.path, query=only(self.name))
        except KubeError as error:
            raise self._explained(error) from error
        self._looks += 1
        views = [parse_node_feature(item, look=self._looks) for item in found.get("items") or ()]
        return (views[0] if views else None), str(found["metadata"]["resourceVersion"])

    def open_watch(self, **query: Any) -> Any:
        return self._api.open_watch_of(self.path, only(self.name), **query)

    def state(self, event: str, obj: Mapping[str, Any]) -> NodeFeatureView | None:
        return None if event == "DELETED" else parse_node_feature(obj, look=self._looks)

    @property
    def shown(self) -> str:
        return f"NodeFeature {self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """Of the collection."""
        return f"/apis/{API_VERSION}/namespaces/{quote(self.namespace, safe='')}/nodefeatures"

    @property
    def _path(self) -> str:
        return f"{self.path}/{quote(self.name, safe='')}"

    def _explained(self, error: KubeError) -> KubeError:
        """A 404 with the hint that fits: the Node's does not."""
        if error.status != 404:
            return error
        lost = re.search(r'namespaces "[^"]*" not found', error.message)
        hint = f"create the namespace {self.namespace}, or name another with --namespace" if lost else _NO_CRD
        return KubeError(error.message, status=404, hint=hint)


def _is_no_object(error: KubeError, name: str) -> bool:
    """Whether the object alone is missing: the API server knows its kind and says so by name."""
    return error.status == 404 and f'nodefeatures.nfd.k8s-sigs.io "{name}" not found' in error.message
