"""Reads the devices of ResourceSlices and the ResourceClaims that have them. Sends only read requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpu_core.pods.device_names import DRA_DRIVER
from gpu_core.pods.resource_slices import ResourceSlice
from gpunode.cluster.claim_devices import ClaimDevice, select_devices
from gpunode.cluster.claim_objects import DeviceClass, ResourceClaim
from gpunode.cluster.claimed_node import add_known_claims, needs_claims
from gpunode.cluster.fleet import GpuNode
from gpunode.cluster.lists import Kind, list_pages
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.resource_claims import GROUP, read_resource_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """devices: Node -> its devices. problem: why they are unknown; else empty."""

    devices: Mapping[str, tuple[ClaimDevice, ...]] = field(default_factory=dict)
    problem: str = ""


class ClaimReader:
    """Reads the devices once, when a Node needs them. node: the only Node that is asked for; empty for all Nodes."""

    def __init__(self, api: ApiClient, node: str = "") -> None:
        self._api, self._node = api, node
        self._claimed: Claimed | None = None

    def devices_of(self, node: GpuNode) -> tuple[ClaimDevice, ...]:
        """Returns the devices of a Node whose GPUs the kubelet does not have. Raises KubeError, except for a missing right."""
        return self._read().devices.get(node.name, ()) if needs_claims(node) else ()

    def add_to(self, node: GpuNode) -> GpuNode:
        """Returns the node with the devices of its ResourceSlices, or with the problem that they are unknown. Raises KubeError."""
        return add_known_claims(node, self.devices_of(node), self._read().problem) if needs_claims(node) else node

    def _read(self) -> Claimed:
        if self._claimed is None:
            self._claimed = read_claimed(self._api, self._node)
        return self._claimed


def read_claimed(api: ApiClient, node: str = "") -> Claimed:
    """Returns the devices of the driver gpu.nvidia.com; none if the API server has no resource.k8s.io.

    node: only its slices; empty for all. Claims are only read if there are devices. Raises KubeError, except for a missing right.
    """
    try:
        version = read_resource_version(api)
        slices = read_slices(api, version, node)
        claims = (each for each in read_claims(api, version) if each.status.allocation) if slices else ()
        return Claimed(devices=select_devices(slices, claims))
    except KubeError as error:
        if error.status == 404:
            return Claimed()
        if error.status == 403:
            return Claimed(problem=describe_refusal(error))
        raise


def describe_refusal(error: KubeError) -> str:
    """Returns the problem of a Node whose devices are unknown because of a missing right."""
    return f"ResourceSlices or ResourceClaims were not read: {error}"


def read_slices(api: ApiClient, version: str, node: str = "") -> list[ResourceSlice]:
    """Returns the ResourceSlices of the driver gpu.nvidia.com. version: of resource.k8s.io. Raises KubeError."""
    selector = f"spec.driver={DRA_DRIVER}{f',spec.nodeName={node}' if node else ''}"
    pages = list_pages(api, _kind(version, "resourceslices"), ResourceSlice, {"fieldSelector": selector})
    return [each for page in pages for each in page]


def read_claims(api: ApiClient, version: str) -> Iterator[ResourceClaim]:
    """Yields the claims of all namespaces. Raises KubeError."""
    return (each for page in list_pages(api, _kind(version, "resourceclaims"), ResourceClaim) for each in page)


def read_classes(api: ApiClient, version: str) -> tuple[DeviceClass, ...]:
    """Raises KubeError."""
    pages = list_pages(api, _kind(version, "deviceclasses"), DeviceClass)
    return tuple(each for page in pages for each in page)


def _kind(version: str, plural: str) -> Kind:
    return Kind(path=f"{GROUP}/{version}/{plural}", name=plural)
