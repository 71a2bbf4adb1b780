"""Pods that request whole GPUs."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def a_pod_that_selects_a_product_gets_two_gpus(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    for number in range(world.repeats):
        with world.measured("pod with a GPU of the device plugin to running container"):
            world.apply(pod(f"one-{number}", {GPU: 1}))
            world.until_running(f"one-{number}")
    world.apply(pod("two", {GPU: 2}, selector=H100))
    world.until_running("two")
    assert world.bound_to("two") == world.node
    assert len(world.container("two").gpus) == 2


def a_pod_that_selects_another_product_stays_pending(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("other", {GPU: 1}, selector={"nvidia.com/gpu.product": "Tesla-T4"}))
    message = world.until("the reason", lambda: unschedulable_reason(world, "other"))
    assert "node affinity/selector" in message


def a_pod_waits_until_enough_gpus_are_idle(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("four", {GPU: 4}), pod("three", {GPU: 3}))
    world.until_running("four", "three")
    assert not world.container("four").gpus & world.container("three").gpus
    world.apply(pod("more", {GPU: 2}))
    message = world.until("the reason", lambda: unschedulable_reason(world, "more"))
    assert f"Insufficient {GPU}" in message
    world.kubectl("delete", "pod", "three")
    world.until_running("more")
    assert not world.container("four").gpus & world.container("more").gpus


def unschedulable_reason(world: World, name: str) -> str | None:
    conditions = world.get("pod", name)["status"].get("conditions", ())
    return next((each["message"] for each in conditions if each.get("reason") == "Unschedulable"), None)


SCENARIOS = (
    Scenario(a_pod_that_selects_a_product_gets_two_gpus),
    Scenario(a_pod_that_selects_another_product_stays_pending),
    Scenario(a_pod_waits_until_enough_gpus_are_idle),
)
