"""The CPUs, devices and memory of a node by NUMA node, and the part of them that each container has alone. PURE.

Source: Kubernetes documentation, Monitoring device plugin resources; the kubelet's API podresources/v1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGroup:
    """Devices of one resource with the same NUMA nodes. numa_nodes: empty for devices without a NUMA node."""

    resource: str
    ids: frozenset[str]
    numa_nodes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBlock:
    """resource: `memory`, or a size of huge pages such as `hugepages-2Mi`. size: bytes, in all of the NUMA nodes together."""

    resource: str
    size: int
    numa_nodes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusiveResources:
    """cpus: the numbers of the CPUs."""

    cpus: frozenset[int] = frozenset()
    devices: tuple[DeviceGroup, ...] = ()
    memory: tuple[MemoryBlock, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodAllocation:
    """A pod, and what each of its containers has alone. A pod without such resources has containers with nothing."""

    namespace: str
    name: str
    containers: tuple[ExclusiveResources, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResources:
    """allocatable: what the kubelet can give to containers, also if a container has it. pods: all pods of the node."""

    allocatable: ExclusiveResources
    pods: tuple[PodAllocation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """cpus: the numbers of its CPUs that are online. memory: bytes by resource, `memory` and `hugepages-<size>`.

    distances: to each NUMA node that is online; empty if the kernel does not report distances.
    """

    number: int
    cpus: frozenset[int] = frozenset()
    memory: Mapping[str, int] = field(default_factory=dict)
    distances: Mapping[int, int] = field(default_factory=dict)
