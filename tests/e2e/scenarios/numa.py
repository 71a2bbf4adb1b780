"""The topology manager policy single-numa-node."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World


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


@contextmanager
def single_numa_node(world: World) -> Iterator[None]:
    with world.until_registered_again():
        world.set_topology_policy("single-numa-node")
    try:
        yield
    finally:
        with world.until_registered_again():
            world.set_topology_policy("none")


SCENARIOS = (Scenario(a_pod_gets_gpus_of_one_numa_node_or_is_rejected),)
