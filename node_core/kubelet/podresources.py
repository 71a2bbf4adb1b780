"""A client of the kubelet's pod-resources API, which lists the devices of each pod.

Source: Kubernetes documentation, Monitoring device plugin resources.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.rpc import call, kubelet_error

SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
TIMEOUT = 5.0
MAX_BYTES = 16 << 20
"""The maximum size of the response. gRPC's default of 4 MiB is too small for a node with many pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDevices:
    """A pod and the ids of all devices of the pod's containers."""

    namespace: str
    name: str
    devices: frozenset[str]


def list_pod_devices(socket: Path = SOCKET, *, timeout: float = TIMEOUT) -> tuple[PodDevices, ...]:
    """Requests the devices of all pods from the kubelet, without a retry. timeout: seconds. Raises KubeletError."""
    try:
        with Client(socket, max_bytes=MAX_BYTES) as client:
            answer = call(
                client,
                "/v1.PodResourcesLister/List",
                pb.ListPodResourcesRequest(),
                pb.ListPodResourcesResponse,
                timeout=timeout,
            )
    except CallError as error:
        raise kubelet_error(f"cannot list the devices of the pods at {socket}", error) from error
    return tuple(map(_holder, answer.pod_resources))


def select_pods(holders: Collection[PodDevices], devices: Collection[str]) -> Iterator[tuple[str, str]]:
    """Returns the namespace and name of each pod that has at least one of the devices. PURE."""
    wanted = frozenset(devices)
    return ((holder.namespace, holder.name) for holder in holders if holder.devices & wanted)


def _holder(pod: pb.PodResources) -> PodDevices:
    ids = (id_ for container in pod.containers for devices in container.devices for id_ in devices.device_ids)
    return PodDevices(namespace=pod.namespace, name=pod.name, devices=frozenset(ids))
