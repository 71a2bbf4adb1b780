"""The topology manager policy single-numa-node."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

TOPOLOGY = "noderesourcetopologies.topology.node.k8s.io"


def a_pod_gets_gpus_of_one_numa_node_or_is_rejected(world: World) -> None:
    world.agents(Setup())
    with single_numa_node(world):
        world.until_allocatable({GPU: "8"})
        world.apply(pod("first", {GPU: 3}), pod("second", {GPU: 3}))
        world.until_running("first", "second")
        world.apply(pod("spread", {GPU: 2}))
        world.until("the pod to be rejected", lambda: world.phase("spread") == "Failed")
        assert world.get("pod", "spread")["status"]["reason"] == "TopologyAffinityError"
        world.apply(pod("third", {GPU: 1}))
        world.until_running("third")
        first, second = world.container("first").gpus, world.container("second").gpus
        assert len(first | second | world.container("third").gpus) == 7


def exclusive_cpus_and_gpus_leave_their_zone_and_come_back(world: World) -> None:
    """A Guaranteed pod with whole CPUs has a CPU and a GPU of one NUMA node alone."""
    world.agents(Setup())
    with single_numa_node(world, exclusive_cpus=True):
        world.until_allocatable({GPU: "8"})
        world.agents(Setup(publishes_topology=True))
        idle = world.until("the zones of the idle node", lambda: all_gpus_available(zones(world)))
        assert world.get(TOPOLOGY, world.node)["topologyPolicies"] == ["SingleNUMANodeContainerLevel"]
        world.apply(pod("shared", {GPU: 1}), pod("training", {"cpu": 1, "memory": 64 << 20, GPU: 1}))
        world.until_running("shared", "training")
        busy = world.until("the zones without the pods", lambda: changed(zones(world), idle))
        assert sum_of(busy, GPU) == sum_of(idle, GPU) - 2
        with_cpu = [zone for zone in idle if busy[zone]["cpu"] == idle[zone]["cpu"] - 1]
        assert sum_of(busy, "cpu") == sum_of(idle, "cpu") - 1
        assert busy[with_cpu[0]][GPU] < idle[with_cpu[0]][GPU], "the GPU is in the zone of the CPU"
        world.kubectl("delete", "pod", "training", "shared")
        with world.measured("zones after the end of pods"):
            world.until("the zones of the idle node", lambda: zones(world) == idle)
    owners = world.get(TOPOLOGY, world.node)["metadata"]["ownerReferences"]
    assert [(owner["kind"], owner["name"]) for owner in owners] == [("Node", world.node)]


Zones = dict[str, dict[str, int]]
"""Zone -> resource -> what is available."""


def zones(world: World) -> Zones:
    return {
        zone["name"]: {each["name"]: int(each["available"]) for each in zone["resources"]}
        for zone in world.get(TOPOLOGY, world.node)["zones"]
    }


def all_gpus_available(found: Zones) -> Zones | None:
    return found if len(found) == 2 and sum_of(found, GPU) == 8 else None


def changed(found: Zones, idle: Zones) -> Zones | None:
    """Returns the zones when both pods have their devices and CPUs."""
    is_complete = sum_of(found, GPU) == sum_of(idle, GPU) - 2 and sum_of(found, "cpu") < sum_of(idle, "cpu")
    return found if is_complete else None


def sum_of(found: Zones, resource: str) -> int:
    return sum(zone.get(resource, 0) for zone in found.values())


@contextmanager
def single_numa_node(world: World, *, exclusive_cpus: bool = False) -> Iterator[None]:
    with world.until_registered_again():
        world.set_topology_policy("single-numa-node", exclusive_cpus=exclusive_cpus)
    try:
        yield
    finally:
        with world.until_registered_again():
            world.set_topology_policy("none")


SCENARIOS = (
    Scenario(a_pod_gets_gpus_of_one_numa_node_or_is_rejected),
    Scenario(exclusive_cpus_and_gpus_leave_their_zone_and_come_back),
)
