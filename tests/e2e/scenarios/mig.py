"""MIG devices: allocatable as the strategy says, and given out by their own UUIDs."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

SINGLE = Setup(gpus="a100x4-mig-single", flags=("--mig-strategy=single",))
MIXED = Setup(gpus="h100x8-mig-mixed", flags=("--mig-strategy=mixed",))


def with_the_strategy_single_every_mig_device_is_a_gpu(world: World) -> None:
    world.agents(SINGLE)
    world.until_allocatable({GPU: "28"})
    product = world.until("the product", lambda: mig_product(world))
    world.apply(pod("slices", {GPU: 2}, selector={"nvidia.com/gpu.product": product}))
    world.until_running("slices")
    assert all(gpu.startswith("MIG-") for gpu in world.inside("slices").gpus)


def mig_product(world: World) -> str | None:
    product = world.labels.get("nvidia.com/gpu.product", "")
    return product if product.endswith("-MIG-1g.5gb") else None


def with_the_strategy_mixed_each_profile_is_a_resource(world: World) -> None:
    world.agents(MIXED)
    profiles = ("mig-3g.40gb", "mig-2g.20gb", "mig-1g.10gb.me", "mig-1g.10gb")
    world.until_allocatable({GPU: "6", **{f"nvidia.com/{profile}": "2" for profile in profiles}})
    world.apply(pod("large", {"nvidia.com/mig-3g.40gb": 1}), pod("whole", {GPU: 1}))
    world.until_running("large", "whole")
    (large,), (whole,) = world.inside("large").gpus, world.inside("whole").gpus
    assert (large[:4], whole[:4]) == ("MIG-", "GPU-")
    assert world.labels["nvidia.com/mig-3g.40gb.count"] == "2"


SCENARIOS = (
    Scenario(with_the_strategy_single_every_mig_device_is_a_gpu),
    Scenario(with_the_strategy_mixed_each_profile_is_a_resource),
)
