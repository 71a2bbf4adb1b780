"""The CPUs, devices and memory that the kubelet manages, and the part of them that each container has alone. PURE.

Source: Kubernetes documentation, Monitoring device plugin resources; the kubelet's API podresources/v1.
"""

from dataclasses import dataclass


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
