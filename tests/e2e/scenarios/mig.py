"""MIG devices: the strategies, and allocation by UUID."""

from node_core.values import replace
from tests.e2e.driver import driver_flags
from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, Setup, World

SINGLE = Setup(gpus="a100x4-mig-single", flags=("--mig-strategy=single",))
MIXED = Setup(gpus="h100x8-mig-mixed", flags=("--mig-strategy=mixed",))
PROFILES = (LARGE, _, _, SMALL) = tuple(
    f"nvidia.com/mig-{profile}" for profile in ("3g.40gb", "2g.20gb", "1g.10gb.me", "1g.10gb")
)


def with_strategy_single_each_mig_device_is_a_gpu(world: World) -> None:
    world.agents(SINGLE)
    world.until_allocatable({GPU: "28"})
    product = world.until("the product label", lambda: mig_product(world))
    world.apply(pod("slices", {GPU: 2}, selector={"nvidia.com/gpu.product": product}))
    world.until_running("slices")
    assert all(gpu.startswith("MIG-") for gpu in world.container("slices").gpus)


def mig_product(world: World) -> str | None:
    product = world.labels.get("nvidia.com/gpu.product", "")
    return product if product.endswith("-MIG-1g.5gb") else None


def with_strategy_mixed_each_profile_is_a_resource(world: World) -> None:
    world.agents(MIXED)
    world.until_allocatable({GPU: "6", **dict.fromkeys(PROFILES, "2")})
    world.until("the label of a profile", lambda: world.labels.get("nvidia.com/mig-3g.40gb.count") == "2")
    world.apply(pod("large", {LARGE: 1}), pod("whole", {GPU: 1}))
    world.until_running("large", "whole")
    (large,), (whole,) = world.container("large").gpus, world.container("whole").gpus
    assert (large[:4], whole[:4]) == ("MIG-", "GPU-")


def a_mig_device_gets_only_its_own_capabilities(world: World) -> None:
    root = world.fake_driver()
    flags = ("--device-list-strategy=cdi-cri", f"--host-root=/driver-root{root}", *driver_flags(root))
    world.agents(replace(MIXED, plugin_flags=flags))
    world.until_allocatable({GPU: "6", **dict.fromkeys(PROFILES, "2")})
    world.apply(pod("large", {LARGE: 1}), pod("small", {SMALL: 1}), pod("whole", {GPU: 1}))
    world.until_running("large", "small", "whole")
    large, small, whole = (capabilities(world, name) for name in ("large", "small", "whole"))
    assert (len(large), len(small), len(whole)) == (2, 2, 0)
    assert not large & small


def capabilities(world: World, name: str) -> set[str]:
    """The device nodes of MIG capabilities in the container of a Pod."""
    return {path for path in world.container(name).devices if path.startswith("/dev/nvidia-caps/")}


SCENARIOS = (
    Scenario(with_strategy_single_each_mig_device_is_a_gpu),
    Scenario(with_strategy_mixed_each_profile_is_a_resource),
    Scenario(a_mig_device_gets_only_its_own_capabilities, real_only=NO_CONTAINERS),
)
