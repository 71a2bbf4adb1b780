"""Requests about the ResourceSlices of one node."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dra_driver.names import DRIVER
from dra_driver.slices.changes import SliceWrite
from dra_driver.slices.features import (
    GROUP,
    SliceFeatures,
    has_counters,
    has_taints,
    render_probe,
)
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.http import JSON, parse_response
from node_core.kube.resource_claims import NO_DRA_HINT, read_resource_version
from node_core.kube.resources import Obj, Resource, without_managed_fields

_VERBS = {"create": "POST", "update": "PUT", "delete": "DELETE"}


class SliceApi:
    """api: the client of the node, whose slices are read and written."""

    def __init__(self, api: NodeApi) -> None:
        self.client = api

    def discover(self) -> SliceFeatures:
        """Asks the API server what it accepts, with one or two dry runs that write nothing. Raises KubeError."""
        version = self.discover_version()
        probe = self._probe(version, has_counters=True)
        if probe is None:
            without = self._probe(version, has_counters=False)
            return SliceFeatures(
                version=version, has_taints=without is not None and parse_response(has_taints, without)
            )
        return SliceFeatures(
            version=version,
            has_counters=parse_response(has_counters, probe),
            has_own_counter_slices=False,
            has_taints=parse_response(has_taints, probe),
        )

    def discover_version(self) -> str:
        """Returns the preferred version that the API server serves. Raises KubeError, with status 404 if there is none."""
        return read_resource_version(self.client)

    def list(self, version: str) -> Mapping[str, Obj]:
        """Returns the slices of this node and driver by name. Raises KubeError."""
        found = self.client.request("GET", _path(version), query=selector(self.client.node_name))
        kind = {"apiVersion": f"{GROUP}/{version}", "kind": "ResourceSlice"}
        return parse_response(
            lambda page: {each["metadata"]["name"]: {**kind, **each} for each in page["items"]}, found
        )

    def list_previous(self) -> Mapping[str, Obj]:
        """Returns the slices that earlier processes of the driver wrote. A cluster without DRA has none. Raises KubeError."""
        try:
            return self.list(self.discover_version())
        except KubeError as error:
            if error.status == 404:
                return {}
            raise

    def read_node(self) -> Obj:
        """Reads the Node, which owns the slices. Raises KubeError."""
        return self.client.request("GET", f"/api/v1/nodes/{quote(self.client.node_name, safe='')}")

    def write(self, write: SliceWrite, version: str) -> Obj:
        """Sends a write and returns the object of the response. A slice that is gone already counts as deleted. Raises KubeError."""
        path = _path(version) if write.verb == "create" else f"{_path(version)}/{quote(write.name, safe='')}"
        body: Any = write.body
        if write.verb == "delete":
            preconditions = {"preconditions": {"uid": write.uid}} if write.uid else {}
            body = {"apiVersion": "v1", "kind": "DeleteOptions", **preconditions}
        try:
            return self.client.request(_VERBS[write.verb], path, body=body, content=JSON)
        except KubeError as error:
            if write.verb == "delete" and error.status == 404:
                return {}
            raise

    def _probe(self, version: str, *, has_counters: bool) -> Obj | None:
        """Returns None if the API server finds the content of the probe not valid."""
        body = render_probe(self.client.node_name, version, has_counters=has_counters)
        try:
            return self.client.request("POST", _path(version), query={"dryRun": "All"}, body=body, content=JSON)
        except KubeError as error:
            if error.status == 422:
                return None
            raise


def selector(node_name: str) -> dict[str, str]:
    """Returns the query that selects the slices of one node and of this driver."""
    return {"fieldSelector": f"spec.nodeName={node_name},spec.driver={DRIVER}"}


def slices_of(node_name: str, version: str) -> Resource[Obj]:
    """Selects the slices for an informer."""
    return Resource(
        description=f"ResourceSlices of the Node {node_name}",
        path=_path(version),
        selector=selector(node_name),
        parse=without_managed_fields,
        hint=NO_DRA_HINT,
    )


def _path(version: str) -> str:
    return f"/apis/{GROUP}/{version}/resourceslices"
