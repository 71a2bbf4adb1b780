"""NUMA nodes, devices and pods for the tests."""

from node_core.domain.node_resources import (
    DeviceGroup,
    ExclusiveResources,
    MemoryBlock,
    NodeResources,
    NumaNode,
    PodAllocation,
)

GPU = "nvidia.com/gpu"
GIB = 1 << 30
TWO_NODES = (
    NumaNode(
        number=0,
        cpus=frozenset({0, 2, 4, 6}),
        memory={"memory": 16 * GIB, "hugepages-1Gi": 2 * GIB},
        distances={0: 10, 1: 21},
    ),
    NumaNode(
        number=1,
        cpus=frozenset({1, 3, 5, 7}),
        memory={"memory": 16 * GIB, "hugepages-1Gi": 0},
        distances={0: 21, 1: 10},
    ),
)
"""Two NUMA nodes with four CPUs each."""


def devices(*ids: str, node: int | None, resource: str = GPU) -> DeviceGroup:
    return DeviceGroup(
        resource=resource, ids=frozenset(ids), numa_nodes=frozenset() if node is None else frozenset({node})
    )


def memory(size: int, *nodes: int, resource: str = "memory") -> MemoryBlock:
    return MemoryBlock(resource=resource, size=size, numa_nodes=frozenset(nodes))


ALLOCATABLE = ExclusiveResources(
    cpus=frozenset({1, 2, 3, 4, 5, 6, 7}),
    devices=(devices("a", "b", node=0), devices("c", node=1), devices("tpm", node=None, resource="example.com/tpm")),
    memory=(
        memory(14 * GIB, 0),
        memory(15 * GIB, 1),
        memory(2 * GIB, 0, resource="hugepages-1Gi"),
        memory(0, 1, resource="hugepages-1Gi"),
    ),
)
"""CPU 0 is reserved, and some memory."""


def pod(*containers: ExclusiveResources, name: str = "p", namespace: str = "team") -> PodAllocation:
    return PodAllocation(namespace=namespace, name=name, containers=containers)


def resources(*pods: PodAllocation, allocatable: ExclusiveResources = ALLOCATABLE) -> NodeResources:
    return NodeResources(allocatable=allocatable, pods=pods)
