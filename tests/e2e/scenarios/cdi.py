"""Device nodes and libraries that the container runtime adds to containers according to CDI specifications."""

import re

from tests.e2e.driver import VERSION, driver_flags
from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, ContainerView, Setup, World


def a_container_gets_device_nodes_only_of_its_own_gpus(world: World) -> None:
    verify_cdi(world, "--device-list-strategy=cdi-cri")


def cdi_is_the_default_if_the_runtime_supports_it(world: World) -> None:
    verify_cdi(world)


def verify_cdi(world: World, *flags: str) -> None:
    world.agents(Setup(plugin_flags=(*flags, *driver_flags(world.fake_driver()))))
    world.until_allocatable({GPU: "8"})
    world.apply(pod("two", {GPU: 2}), pod("three", {GPU: 3}), pod("none"))
    world.until_running("two", "three", "none")
    two, three, none = (world.container(name) for name in ("two", "three", "none"))
    assert (len(gpu_nodes(two)), len(gpu_nodes(three)), gpu_nodes(none)) == (2, 3, set())
    assert not gpu_nodes(two) & gpu_nodes(three)
    assert {"/dev/nvidiactl", "/dev/nvidia-uvm"} <= two.devices
    assert any(path.endswith(f"/libcuda.so.{VERSION}") for path in two.mounts)
    assert two.environment["NVIDIA_VISIBLE_DEVICES"] == "void"


def gpu_nodes(container: ContainerView) -> set[str]:
    return {path for path in container.devices if re.fullmatch(r"/dev/nvidia\d+", path)}


SCENARIOS = (
    Scenario(a_container_gets_device_nodes_only_of_its_own_gpus, real_only=NO_CONTAINERS),
    Scenario(cdi_is_the_default_if_the_runtime_supports_it, real_only=NO_CONTAINERS),
)
