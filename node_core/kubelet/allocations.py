"""Reads the CPUs, devices and memory of the node, and those of its pods, from the kubelet's pod-resources API.

Source: Kubernetes documentation, Monitoring device plugin resources. `cpu_ids` of a container contains only CPUs that the container has
alone: the kubelet gives exclusive CPUs only to Guaranteed pods with whole CPUs. The same applies to memory.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from node_core.domain.node_resources import (
    DeviceGroup,
    ExclusiveResources,
    MemoryBlock,
    NodeResources,
    PodAllocation,
)
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.podresources import MAX_BYTES, SERVICE, SOCKET, TIMEOUT, request_pods
from node_core.kubelet.rpc import call, kubelet_error


def read_node_resources(socket: Path = SOCKET, *, timeout: float = TIMEOUT) -> NodeResources:
    """Requests the resources of the node and of its pods from the kubelet, without a retry. timeout: seconds. Raises KubeletError."""
    try:
        with Client(socket, max_bytes=MAX_BYTES) as client:
            allocatable = call(
                client,
                f"{SERVICE}/GetAllocatableResources",
                pb.AllocatableResourcesRequest(),
                pb.AllocatableResourcesResponse,
                timeout=timeout,
            )
            listed = request_pods(client, timeout=timeout)
    except CallError as error:
        raise kubelet_error(f"cannot read the resources of the node and its pods at {socket}", error) from error
    return NodeResources(allocatable=_resources(allocatable), pods=tuple(map(_pod, listed.pod_resources)))


def _pod(pod: pb.PodResources) -> PodAllocation:
    return PodAllocation(namespace=pod.namespace, name=pod.name, containers=tuple(map(_resources, pod.containers)))


def _resources(message: Any) -> ExclusiveResources:
    """message: the resources of a container, or the allocatable resources; both have the same fields."""
    return ExclusiveResources(
        cpus=frozenset(message.cpu_ids),
        devices=tuple(map(_devices, message.devices)),
        memory=tuple(map(_memory, message.memory)),
    )


def _devices(group: pb.ContainerDevices) -> DeviceGroup:
    return DeviceGroup(
        resource=group.resource_name, ids=frozenset(group.device_ids), numa_nodes=_numa_nodes(group.topology.nodes)
    )


def _memory(block: pb.ContainerMemory) -> MemoryBlock:
    return MemoryBlock(resource=block.memory_type, size=block.size, numa_nodes=_numa_nodes(block.topology.nodes))


def _numa_nodes(nodes: Iterable[pb.NUMANode]) -> frozenset[int]:
    return frozenset(node.ID for node in nodes)
