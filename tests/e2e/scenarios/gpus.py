"""Pods that ask for whole GPUs."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def a_pod_that_names_a_product_gets_its_two_gpus(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("two", {GPU: 2}, selector=H100))
    world.until_running("two")
    assert world.bound_to("two") == world.node
    assert len(world.inside("two").gpus) == 2


def a_product_that_is_not_there_keeps_its_pod_waiting(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("other", {GPU: 1}, selector={"nvidia.com/gpu.product": "Tesla-T4"}))
    said = world.until("it is said why", lambda: why_not_scheduled(world, "other"))
    assert "node affinity/selector" in said


def no_gpu_is_given_twice_and_a_pod_too_many_waits_until_one_is_free(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("four", {GPU: 4}), pod("three", {GPU: 3}))
    world.until_running("four", "three")
    assert not world.inside("four").gpus & world.inside("three").gpus
    world.apply(pod("more", {GPU: 2}))
    said = world.until("it is said why", lambda: why_not_scheduled(world, "more"))
    assert f"Insufficient {GPU}" in said
    world.kubectl("delete", "pod", "three")
    world.until_running("more")
    assert not world.inside("four").gpus & world.inside("more").gpus


def why_not_scheduled(world: World, name: str) -> str | None:
    conditions = world.get("pod", name)["status"].get("conditions", ())
    return next((each["message"] for each in conditions if each.get("reason") == "Unschedulable"), None)


SCENARIOS = (
    Scenario(a_pod_that_names_a_product_gets_its_two_gpus),
    Scenario(a_product_that_is_not_there_keeps_its_pod_waiting),
    Scenario(no_gpu_is_given_twice_and_a_pod_too_many_waits_until_one_is_free),
)
