"""Requests for one NodeFeature object, and the namespace of the pod."""

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
from node_core.kube.client import APPLY, NodeApi
from node_core.kube.http import parse_response
from node_core.kube.resources import NODE_FEATURE_CRD_HINT, node_feature

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"


def read_pod_namespace(file: Path = POD_NAMESPACE) -> str:
    """Returns the namespace of the pod of this process, or like kubectl `default` outside a pod."""
    return find_pod_namespace(file) or DEFAULT_NAMESPACE


def find_pod_namespace(file: Path = POD_NAMESPACE) -> str | None:
    """Returns the namespace of the pod of this process, or None outside a pod."""
    try:
        return file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class NodeFeatureApi:
    """Reads and writes one NodeFeature object. prefix: the part of the object's name before the Node's name. resource: for an informer."""

    def __init__(self, api: NodeApi, *, namespace: str, prefix: str = "") -> None:
        self.name = f"{prefix}{api.node_name}"
        self.namespace = namespace
        self.resource = node_feature(namespace, self.name)
        self._api = api

    def get(self) -> NodeFeatureView | None:
        """Reads the object. Returns None if the object does not exist. Raises KubeError, also if the cluster lacks the kind."""
        try:
            return parse_response(parse_node_feature, self._api.request("GET", self._path))
        except KubeError as error:
            if _is_object_missing(error, self.name):
                return None
            raise self._with_hint(error) from error

    def apply(self, manager: str, desired: NodeFeature, *, force: bool) -> NodeFeatureView:
        """Server-side apply, which creates a missing object. Without force, raises KubeError 409 on a conflict.

        The API server turns a map that an apply empties into null, and then rejects null with 422. Then this method first applies the
        object without empty maps, which removes them, and then applies the whole object.
        """
        body = render_node_feature(desired, name=self.name, namespace=self.namespace)
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
            response = self._api.request("PATCH", self._path, query=query, body=body, content=APPLY)
            return parse_response(parse_node_feature, response)
        except KubeError as error:
            raise self._with_hint(error) from error

    def delete(self, observed: NodeFeatureView) -> None:
        """Deletes the object. Raises KubeError 409 if the object has changed since `observed`."""
        same = {"uid": observed.uid, "resourceVersion": observed.resource_version}
        self._api.request("DELETE", self._path, body={"preconditions": same}, content="application/json")

    def release(self, manager: str) -> None:
        """Removes the fields that only `manager` owns. Fields of other managers remain."""
        metadata = {"name": self.name, "namespace": self.namespace}
        body = {"apiVersion": API_VERSION, "kind": "NodeFeature", "metadata": metadata}
        self._api.request("PATCH", self._path, query={"fieldManager": manager}, body=body, content=APPLY)

    @property
    def _path(self) -> str:
        return f"{self.resource.path}/{quote(self.name, safe='')}"

    def _with_hint(self, error: KubeError) -> KubeError:
        """Returns the error, with a suitable hint for a 404: the general hint is about Nodes."""
        if error.status != 404:
            return error
        is_namespace = re.search(r'namespaces "[^"]*" not found', error.message)
        hint = NODE_FEATURE_CRD_HINT
        if is_namespace:
            hint = f"create the namespace {self.namespace}, or set --namespace"
        return KubeError(error.message, status=404, hint=hint)


def _is_object_missing(error: KubeError, name: str) -> bool:
    """True if only the object is missing: then the message of the API server contains its kind and its name."""
    return error.status == 404 and f'nodefeatures.nfd.k8s-sigs.io "{name}" not found' in error.message
