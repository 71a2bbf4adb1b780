"""Which pod has which devices, as the kubelet says. Source: Kubernetes documentation, Monitoring device plugin resources."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.rpc import kubelet_error, open_channel

SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
TIMEOUT = 5.0
MOST_BYTES = 16 << 20
"""gRPC's own limit of 4 MiB is too small for a node with many pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A pod, and the ids of all devices that its containers have."""

    namespace: str
    name: str
    devices: frozenset[str]


def read_holders(socket: Path = SOCKET, *, timeout: float = TIMEOUT) -> tuple[Holder, ...]:
    """Asks the kubelet once. Raises KubeletError."""
    with open_channel(socket, most_bytes=MOST_BYTES) as channel:
        call = channel.unary_unary(
            "/v1.PodResourcesLister/List",
            request_serializer=pb.ListPodResourcesRequest.SerializeToString,
            response_deserializer=pb.ListPodResourcesResponse.FromString,
        )
        try:
            answer = call(pb.ListPodResourcesRequest(), timeout=timeout)
        except grpc.RpcError as error:
            raise kubelet_error(f"the kubelet does not say at {socket} which pods have which devices", error) from error
    return tuple(map(_holder, answer.pod_resources))


def select_holders(holders: Collection[Holder], devices: Collection[str]) -> Iterator[tuple[str, str]]:
    """Namespace and name of those that have one of these devices. PURE."""
    wanted = frozenset(devices)
    return ((holder.namespace, holder.name) for holder in holders if holder.devices & wanted)


def _holder(pod: pb.PodResources) -> Holder:
    ids = (id_ for container in pod.containers for devices in container.devices for id_ in devices.device_ids)
    return Holder(namespace=pod.namespace, name=pod.name, devices=frozenset(ids))
