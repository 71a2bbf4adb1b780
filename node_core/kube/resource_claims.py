"""Reads ResourceClaims, in the newest version of resource.k8s.io that the API server and this project know.

Needs `get` and `list` on resourceclaims. Source: Kubernetes API, resource.k8s.io v1, v1beta2 and v1beta1.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from node_core.errors import KubeError
from node_core.kube.http import ApiClient, parse_response

GROUP = "/apis/resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
"""The preferred one first. Kubernetes 1.34 has v1, 1.33 has v1beta2, and 1.32 has v1beta1."""
NO_DRA_HINT = (
    "Dynamic Resource Allocation needs Kubernetes 1.34, or 1.32 with the feature gate DynamicResourceAllocation"
)
_PAGE = "500"


class ResourceClaimApi:
    """Each method raises KubeError. The version is read once."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._version: str | None = None

    def version(self) -> str:
        """Returns the version of resource.k8s.io. Raises KubeError if the API server has none that this project knows."""
        if self._version is None:
            self._version = read_resource_version(self._api)
        return self._version

    def get(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Returns a claim; None if it does not exist."""
        place = f"namespaces/{quote(namespace, safe='')}/resourceclaims/{quote(name, safe='')}"
        version = self.version()
        try:
            return self._api.request("GET", f"{GROUP}/{version}/{place}")
        except KubeError as error:
            if error.status != 404:
                raise
        self._version = read_resource_version(
            self._api
        )  # 404 also means that a new API server does not serve the version
        return None if self._version == version else self.get(namespace, name)

    def list_all(self) -> tuple[Mapping[str, Any], ...]:
        """Returns the claims of all namespaces."""
        found: list[Mapping[str, Any]] = []
        query = {"limit": _PAGE}
        while True:
            page = self._api.request("GET", f"{GROUP}/{self.version()}/resourceclaims", query=query)
            found += parse_response(lambda response: response["items"], page)
            token = page.get("metadata", {}).get("continue")
            if not token:
                return tuple(found)
            query = {"limit": _PAGE, "continue": token}


def read_resource_version(api: ApiClient) -> str:
    """Returns the newest common version of resource.k8s.io. Raises KubeError."""
    try:
        served = parse_response(parse_served_versions, api.request("GET", GROUP))
    except KubeError as error:
        if error.status != 404:
            raise
        raise KubeError("the API server has no resource.k8s.io", status=404, hint=NO_DRA_HINT) from error
    for version in VERSIONS:
        if version in served:
            return version
    raise KubeError(f"the API server has resource.k8s.io in {', '.join(served)} only", status=404, hint=NO_DRA_HINT)


def parse_served_versions(group: Mapping[str, Any]) -> tuple[str, ...]:
    """Parses an APIGroup. PURE."""
    return tuple(str(each["version"]) for each in group["versions"])
