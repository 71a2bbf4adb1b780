"""A client of the kubelet's pod-resources API, which lists the devices of each container.

Source: Kubernetes documentation, Monitoring device plugin resources.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.rpc import call, kubelet_error

SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
SERVICE = "/v1.PodResourcesLister"
TIMEOUT = 5.0
MAX_BYTES = 16 << 20
"""The maximum size of the response. gRPC's default of 4 MiB is too small for a node with many pods."""


class ClaimedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a ResourceClaim. claim, namespace: the name of the claim. driver, pool, device: the names in the ResourceSlice.

    cdi: qualified CDI names, `vendor.com/class=name`.
    """

    claim: str = ""
    namespace: str = ""
    driver: str = ""
    pool: str = ""
    device: str = ""
    cdi: tuple[str, ...] = ()


class ContainerDevices(msgspec.Struct, frozen=True, kw_only=True):
    """A container, the ids of its devices of all device plugins, and the devices of its ResourceClaims."""

    name: str
    devices: frozenset[str] = frozenset()
    claimed: tuple[ClaimedDevice, ...] = ()


class PodDevices(msgspec.Struct, frozen=True, kw_only=True):
    """A pod and all its containers, also those without devices."""

    namespace: str
    name: str
    containers: tuple[ContainerDevices, ...] = ()

    def has_any(self, devices: Collection[str]) -> bool:
        """Whether a container has at least one of these device ids."""
        return not all(container.devices.isdisjoint(devices) for container in self.containers)


def list_pod_devices(socket: Path = SOCKET, *, timeout: float = TIMEOUT) -> tuple[PodDevices, ...]:
    """Requests the devices of all pods from the kubelet, without a retry. timeout: seconds. Raises KubeletError."""
    try:
        with Client(socket, max_bytes=MAX_BYTES) as client:
            response = request_pods(client, timeout=timeout)
    except CallError as error:
        raise kubelet_error(f"cannot list the devices of the pods at {socket}", error) from error
    return tuple(map(_pod, response.pod_resources))


def request_pods(client: Client, *, timeout: float) -> pb.ListPodResourcesResponse:
    """Sends the request List. timeout: seconds. Raises CallError."""
    request = pb.ListPodResourcesRequest()
    response: pb.ListPodResourcesResponse = call(
        client, f"{SERVICE}/List", request, pb.ListPodResourcesResponse, timeout=timeout
    )
    return response


def select_pods(pods: Collection[PodDevices], devices: Collection[str]) -> Iterator[tuple[str, str]]:
    """Returns the namespace and name of each pod that has at least one of the devices. PURE."""
    return ((pod.namespace, pod.name) for pod in pods if pod.has_any(devices))


def _pod(pod: pb.PodResources) -> PodDevices:
    return PodDevices(namespace=pod.namespace, name=pod.name, containers=tuple(map(_container, pod.containers)))


def _container(container: pb.ContainerResources) -> ContainerDevices:
    return ContainerDevices(
        name=container.name,
        devices=frozenset(id_ for devices in container.devices for id_ in devices.device_ids),
        claimed=tuple(
            ClaimedDevice(
                claim=claim.claim_name,
                namespace=claim.claim_namespace,
                driver=resource.driver_name,
                pool=resource.pool_name,
                device=resource.device_name,
                cdi=tuple(device.name for device in resource.cdi_devices),
            )
            for claim in container.dynamic_resources
            for resource in claim.claim_resources
        ),
    )
