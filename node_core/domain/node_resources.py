"""The CPUs, devices and memory of a node by NUMA node, and the part of them that each container has alone. PURE.

Source: Kubernetes documentation, Monitoring device plugin resources; the kubelet's API podresources/v1.
"""

from collections.abc import Mapping

import msgspec


class DeviceGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one resource with the same NUMA nodes. numa_nodes: empty for devices without a NUMA node."""

    resource: str
    ids: frozenset[str]
    numa_nodes: frozenset[int] = frozenset()


class MemoryBlock(msgspec.Struct, frozen=True, kw_only=True):
    """resource: `memory`, or a size of huge pages such as `hugepages-2Mi`. size: bytes, in all of the NUMA nodes together."""

    resource: str
    size: int
    numa_nodes: frozenset[int] = frozenset()


class ExclusiveResources(msgspec.Struct, frozen=True, kw_only=True):
    """cpus: the numbers of the CPUs."""

    cpus: frozenset[int] = frozenset()
    devices: tuple[DeviceGroup, ...] = ()
    memory: tuple[MemoryBlock, ...] = ()


class PodAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """A pod, and what each of its containers has alone. A pod without such resources has containers with nothing."""

    namespace: str
    name: str
    containers: tuple[ExclusiveResources, ...] = ()


class NodeResources(msgspec.Struct, frozen=True, kw_only=True):
    """allocatable: what the kubelet can give to containers, also if a container has it. pods: all pods of the node."""

    allocatable: ExclusiveResources
    pods: tuple[PodAllocation, ...] = ()


class NumaNode(msgspec.Struct, frozen=True, kw_only=True):
    """cpus: the numbers of its CPUs that are online. memory: bytes by resource, `memory` and `hugepages-<size>`.

    distances: to each NUMA node that is online; empty if the kernel does not report distances.
    """

    number: int
    cpus: frozenset[int] = frozenset()
    memory: Mapping[str, int] = msgspec.field(default_factory=dict)
    distances: Mapping[int, int] = msgspec.field(default_factory=dict)
