"""The amounts of the zones, and the laws of their arithmetic."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.topology.zones import Zone, distribute, plan_zones
from node_core.domain.node_resources import ExclusiveResources, MemoryBlock, NodeResources, NumaNode, PodAllocation
from node_core.values import replace
from tests.nfd_lite.topology.machines import ALLOCATABLE, GIB, GPU, TWO_NODES, devices, memory, pod, resources

Amounts = dict[str, list[tuple[int, int, int]]]


def amounts(zones: Sequence[Zone]) -> Amounts:
    """Returns resource -> capacity, allocatable and available of the zones that have the resource."""
    found: Amounts = {}
    for zone in zones:
        for each in zone.resources:
            found.setdefault(each.name, []).append((each.capacity, each.allocatable, each.available))
    return found


def available(*pods: PodAllocation, allocatable: ExclusiveResources = ALLOCATABLE) -> dict[str, list[int]]:
    zones = plan_zones(TWO_NODES, resources(*pods, allocatable=allocatable))
    return {name: [each[2] for each in found] for name, found in amounts(zones).items()}


def test_without_pods_everything_that_is_allocatable_is_available() -> None:
    zones = plan_zones(TWO_NODES, resources())
    assert [zone.name for zone in zones] == ["node-0", "node-1"]
    assert [dict(zone.distances) for zone in zones] == [{"node-0": 10, "node-1": 21}, {"node-0": 21, "node-1": 10}]
    assert amounts(zones) == {
        "cpu": [(4, 3, 3), (4, 4, 4)],
        "memory": [(16 * GIB, 14 * GIB, 14 * GIB), (16 * GIB, 15 * GIB, 15 * GIB)],
        "hugepages-1Gi": [(2 * GIB, 2 * GIB, 2 * GIB), (0, 0, 0)],
        GPU: [(2, 2, 2), (1, 1, 1)],
    }


def test_what_a_pod_has_alone_leaves_its_zone_and_comes_back() -> None:
    alone = ExclusiveResources(
        cpus=frozenset({2, 4}),
        devices=(devices("a", node=0),),
        memory=(memory(3 * GIB, 0), memory(GIB, 0, resource="hugepages-1Gi")),
    )
    assert available(pod(alone)) == {
        "cpu": [1, 4],
        "memory": [11 * GIB, 15 * GIB],
        "hugepages-1Gi": [GIB, 0],
        GPU: [1, 1],
    }
    assert available(pod(ExclusiveResources())) == available()


def test_all_containers_of_all_pods_count() -> None:
    first, second, third = (ExclusiveResources(cpus=frozenset({cpu})) for cpu in (1, 3, 5))
    assert available(pod(first, second), pod(third, name="q"))["cpu"] == [3, 1]


def test_only_pods_of_the_namespace_count() -> None:
    pods = [pod(ExclusiveResources(cpus=frozenset({cpu})), namespace=name) for cpu, name in ((1, "a"), (3, "b"))]
    zones = plan_zones(TWO_NODES, resources(*pods), namespace="a")
    assert [each[2] for each in amounts(zones)["cpu"]] == [3, 3]


def test_excluded_resources_are_in_no_zone() -> None:
    zones = plan_zones(TWO_NODES, resources(), excluded={"memory", GPU, "unknown"})
    assert set(amounts(zones)) == {"cpu", "hugepages-1Gi"}


def test_without_static_policies_every_pod_can_use_all_cpus_and_all_memory() -> None:
    """The kubelet then reports neither CPUs nor memory."""
    without = replace(ALLOCATABLE, cpus=frozenset(), memory=())
    zones = plan_zones(TWO_NODES, resources(allocatable=without))
    assert amounts(zones)["cpu"] == [(4, 4, 4), (4, 4, 4)]
    assert amounts(zones)["memory"] == [(16 * GIB, 16 * GIB, 16 * GIB)] * 2
    assert amounts(zones)["hugepages-1Gi"] == [(2 * GIB, 2 * GIB, 2 * GIB), (0, 0, 0)]


def test_a_device_of_two_numa_nodes_is_in_both_zones() -> None:
    both = replace(devices("a", "b", node=0), numa_nodes=frozenset({0, 1}))
    allocatable = replace(ALLOCATABLE, devices=(both,))
    assert available(allocatable=allocatable)[GPU] == [2, 2]
    used = ExclusiveResources(devices=(replace(both, ids=frozenset({"b"})),))
    assert available(pod(used), allocatable=allocatable)[GPU] == [1, 1]


def test_a_device_id_of_another_resource_is_another_device() -> None:
    used = ExclusiveResources(devices=(devices("a", node=0, resource="example.com/nic"),))
    assert available(pod(used))[GPU] == [2, 1]


def test_memory_of_two_numa_nodes_fills_the_first() -> None:
    used = ExclusiveResources(memory=(memory(20 * GIB, 0, 1),))
    assert available(pod(used))["memory"] == [0, 9 * GIB]


def test_memory_of_one_numa_node_is_counted_first() -> None:
    spread = ExclusiveResources(memory=(memory(14 * GIB, 0, 1),))
    local = ExclusiveResources(memory=(memory(4 * GIB, 0),))
    assert available(pod(spread, local))["memory"] == [0, 11 * GIB]


def test_a_zone_without_cpus_or_memory_has_none_available() -> None:
    nodes = (NumaNode(number=0, memory={"memory": 0}), NumaNode(number=1, memory={"memory": GIB}))
    zones = plan_zones(nodes, resources(allocatable=ExclusiveResources(cpus=frozenset({0}), memory=(memory(GIB, 1),))))
    assert amounts(zones) == {"cpu": [(0, 0, 0)] * 2, "memory": [(0, 0, 0), (GIB, GIB, GIB)]}


def test_fewer_huge_pages_than_at_the_start_of_the_kubelet_are_not_available_twice() -> None:
    fewer = tuple(replace(node, memory={**node.memory, "hugepages-1Gi": 0}) for node in TWO_NODES)
    assert amounts(plan_zones(fewer, resources()))["hugepages-1Gi"] == [(0, 0, 0)] * 2


def test_a_thousand_pods_are_counted() -> None:
    nodes = tuple(
        NumaNode(number=number, cpus=frozenset(range(number * 128, number * 128 + 128)), memory={"memory": 512 * GIB})
        for number in range(8)
    )
    blocks = tuple(memory(512 * GIB, number) for number in range(8))
    cards = tuple(devices(f"GPU-{number}::{each}", node=number) for number in range(8) for each in range(125))
    allocatable = ExclusiveResources(cpus=frozenset(range(1024)), memory=blocks, devices=cards)
    pods = [
        pod(
            ExclusiveResources(
                cpus=frozenset({index}),
                memory=(memory(GIB, index % 8),),
                devices=(devices(f"GPU-{index % 8}::{index // 8}", node=index % 8),),
            ),
            name=f"pod-{index}",
        )
        for index in range(1000)
    ]
    found = amounts(plan_zones(nodes, resources(*pods, allocatable=allocatable)))
    assert [each[2] for each in found["cpu"]] == [0] * 7 + [24]
    assert [each[2] for each in found["memory"]] == [(512 - 125) * GIB] * 8
    assert [each[2] for each in found[GPU]] == [0] * 8


numbers = st.integers(0, 3)
blocks = st.builds(
    MemoryBlock,
    resource=st.sampled_from(["memory", "hugepages-2Mi"]),
    size=st.integers(0, 50),
    numa_nodes=st.frozensets(numbers, max_size=3),
)
groups = st.builds(
    devices, st.sampled_from("abcdef"), node=st.none() | numbers, resource=st.sampled_from([GPU, "example.com/nic"])
)
parts = st.builds(
    ExclusiveResources,
    cpus=st.frozensets(st.integers(0, 15)),
    devices=st.lists(groups, max_size=6).map(tuple),
    memory=st.lists(blocks, max_size=6).map(tuple),
)
pods = st.lists(st.builds(pod, parts, parts, namespace=st.sampled_from(["a", "b"])), max_size=4)
machines = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=4
).map(
    lambda amounts: tuple(
        NumaNode(
            number=number,
            cpus=frozenset(range(number * 4, number * 4 + 4)),
            memory={"memory": plain, "hugepages-2Mi": huge},
        )
        for number, (plain, huge) in enumerate(amounts)
    )
)  # fmt: skip


@given(machines, parts, pods)
def test_nothing_is_negative_or_more_than_the_zone_has(
    nodes: tuple[NumaNode, ...], allocatable: ExclusiveResources, found: list[PodAllocation]
) -> None:
    for zone in plan_zones(nodes, NodeResources(allocatable=allocatable, pods=tuple(found))):
        for each in zone.resources:
            assert 0 <= each.available <= each.allocatable <= each.capacity


@given(machines, parts, pods, st.builds(pod, parts))
def test_another_pod_never_increases_what_is_available_and_its_end_restores_it(
    nodes: tuple[NumaNode, ...], allocatable: ExclusiveResources, found: list[PodAllocation], more: PodAllocation
) -> None:
    before = plan_zones(nodes, NodeResources(allocatable=allocatable, pods=tuple(found)))
    during = plan_zones(nodes, NodeResources(allocatable=allocatable, pods=(*found, more)))
    for name, values in amounts(before).items():
        assert [each[:2] for each in values] == [each[:2] for each in amounts(during)[name]]
        if not name.startswith(("memory", "hugepages")):
            assert all(one[2] >= other[2] for one, other in zip(values, amounts(during)[name], strict=True))
        assert sum(each[2] for each in values) >= sum(each[2] for each in amounts(during)[name])
    assert plan_zones(nodes, NodeResources(allocatable=allocatable, pods=tuple(found))) == before


@given(machines, parts, pods)
def test_over_all_zones_exclusive_cpus_are_missing_once(
    nodes: tuple[NumaNode, ...], allocatable: ExclusiveResources, found: list[PodAllocation]
) -> None:
    zones = amounts(plan_zones(nodes, NodeResources(allocatable=allocatable, pods=tuple(found))))
    used = {cpu for each in found for container in each.containers for cpu in container.cpus}
    everything = {cpu for node in nodes for cpu in node.cpus}
    usable = everything & allocatable.cpus if allocatable.cpus else everything
    assert sum(each[2] for each in zones["cpu"]) == len(usable - used)


@given(machines, parts, pods)
def test_the_order_of_pods_and_resources_has_no_effect(
    nodes: tuple[NumaNode, ...], allocatable: ExclusiveResources, found: list[PodAllocation]
) -> None:
    turned = replace(allocatable, devices=allocatable.devices[::-1], memory=allocatable.memory[::-1])
    one = plan_zones(nodes, NodeResources(allocatable=allocatable, pods=tuple(found)))
    assert plan_zones(nodes, NodeResources(allocatable=turned, pods=tuple(found[::-1]))) == one


@given(st.lists(blocks, max_size=8), st.dictionaries(numbers, st.integers(0, 60)))
def test_blocks_are_distributed_up_to_the_room_of_their_nodes(found: list[MemoryBlock], room: dict[int, int]) -> None:
    filled = distribute(found, room)
    assert all(0 <= filled[number] <= room[number] for number in room)
    assert sum(filled.values()) <= sum(block.size for block in found)
    fitting = [block for block in found if block.numa_nodes and block.numa_nodes <= room.keys()]
    if sum(block.size for block in fitting) <= min(room.values(), default=0):
        assert sum(distribute(fitting, room).values()) == sum(block.size for block in fitting)


@pytest.mark.parametrize("size", [1 << 64, 0])
def test_amounts_beyond_the_memory_are_limited(size: int) -> None:
    allocatable = ExclusiveResources(memory=(memory(size, 0), memory(size, 1)))
    assert available(allocatable=allocatable)["memory"] == [min(size, 16 * GIB)] * 2
