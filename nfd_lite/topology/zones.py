"""The zones of a node: what each NUMA node has, what pods can use, and what is available for new pods. PURE.

Source: the API topology.node.k8s.io/v1alpha2. `allocatable` is what the kubelet can give to pods, and `available` is `allocatable` without
what the containers of running pods have alone: exclusive CPUs, devices, and memory of the static memory manager.

A device of several NUMA nodes counts in each of them. A device without a NUMA node is in no zone. If the kubelet does not assign CPUs or
memory to containers (its policy is `none`), every pod can use all of them, so all of them are available.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from node_core.domain.node_resources import DeviceGroup, ExclusiveResources, MemoryBlock, NodeResources, NumaNode

CPU = "cpu"
ALL_NAMESPACES = "*"


class ZoneResource(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts of one resource in a zone: CPUs, bytes or devices. available <= allocatable <= capacity."""

    name: str
    capacity: int
    allocatable: int
    available: int


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """distances: zone -> distance, in the order of the zones. resources: sorted by name."""

    name: str
    distances: Mapping[str, int]
    resources: tuple[ZoneResource, ...]


def plan_zones(
    numa_nodes: Collection[NumaNode],
    resources: NodeResources,
    *,
    namespace: str = ALL_NAMESPACES,
    excluded: Collection[str] = (),
) -> tuple[Zone, ...]:
    """Returns the zones of a node. namespace: only its pods reduce `available`. excluded: resources that no zone has."""
    used = _merge(
        container
        for pod in resources.pods
        if namespace in (ALL_NAMESPACES, pod.namespace)
        for container in pod.containers
    )
    return tuple(
        Zone(
            name=zone_name(node.number),
            distances={zone_name(other): distance for other, distance in node.distances.items()},
            resources=tuple(
                each
                for each in sorted(
                    _resources(node, numa_nodes, resources.allocatable, used), key=lambda each: each.name
                )
                if each.name not in excluded
            ),
        )
        for node in numa_nodes
    )


def zone_name(number: int) -> str:
    return f"node-{number}"


def _merge(parts: Iterable[ExclusiveResources]) -> ExclusiveResources:
    parts = tuple(parts)
    return ExclusiveResources(
        cpus=frozenset(cpu for each in parts for cpu in each.cpus),
        devices=tuple(group for each in parts for group in each.devices),
        memory=tuple(block for each in parts for block in each.memory),
    )


def _resources(
    node: NumaNode, numa_nodes: Collection[NumaNode], allocatable: ExclusiveResources, used: ExclusiveResources
) -> Iterable[ZoneResource]:
    yield _cpus(node, allocatable, used)
    yield from _memory(node, numa_nodes, allocatable, used)
    yield from _devices(node, allocatable, used)


def _cpus(node: NumaNode, allocatable: ExclusiveResources, used: ExclusiveResources) -> ZoneResource:
    usable = node.cpus & allocatable.cpus if allocatable.cpus else node.cpus
    return ZoneResource(name=CPU, capacity=len(node.cpus), allocatable=len(usable), available=len(usable - used.cpus))


def _memory(
    node: NumaNode, numa_nodes: Collection[NumaNode], allocatable: ExclusiveResources, used: ExclusiveResources
) -> Iterable[ZoneResource]:
    for name, capacity in node.memory.items():
        if not allocatable.memory:
            yield ZoneResource(name=name, capacity=capacity, allocatable=capacity, available=capacity)
            continue
        room = {each.number: each.memory.get(name, 0) for each in numa_nodes}
        usable = distribute(_blocks(allocatable, name), room)
        taken = distribute(_blocks(used, name), usable)
        number = node.number
        yield ZoneResource(
            name=name, capacity=capacity, allocatable=usable[number], available=usable[number] - taken[number]
        )


def _blocks(resources: ExclusiveResources, name: str) -> list[MemoryBlock]:
    return [block for block in resources.memory if block.resource == name]


def distribute(blocks: Iterable[MemoryBlock], room: Mapping[int, int]) -> dict[int, int]:
    """Returns how much of the blocks is in each NUMA node. room: the largest amount of each NUMA node.

    A block of several nodes fills the nodes in the order of their numbers, after the blocks of one node: the kubelet does not report the
    amount in each node.
    """
    filled = dict.fromkeys(room, 0)
    for block in sorted(blocks, key=lambda each: (len(each.numa_nodes), sorted(each.numa_nodes))):
        left = block.size
        for number in sorted(block.numa_nodes & room.keys()):
            part = min(left, room[number] - filled[number])
            filled[number] += part
            left -= part
    return filled


def _devices(node: NumaNode, allocatable: ExclusiveResources, used: ExclusiveResources) -> Iterable[ZoneResource]:
    for name, ids in _ids_by_resource(allocatable.devices, node.number).items():
        taken = {id_ for group in used.devices if group.resource == name for id_ in group.ids}
        yield ZoneResource(name=name, capacity=len(ids), allocatable=len(ids), available=len(ids - taken))


def _ids_by_resource(groups: Iterable[DeviceGroup], number: int) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for group in groups:
        if number in group.numa_nodes:
            found.setdefault(group.resource, set()).update(group.ids)
    return found
