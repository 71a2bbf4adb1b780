"""Device nodes and libraries in containers, put there by the container runtime's own CDI code."""

import re

from tests.e2e.driver import VERSION, driver_flags
from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, Inside, Setup, World


def a_pod_sees_the_nodes_and_libraries_of_its_gpus_and_no_others(world: World) -> None:
    gpus_come_by_cdi(world, "--device-list-strategy=cdi-cri")


def a_node_that_can_uses_cdi_without_being_told(world: World) -> None:
    gpus_come_by_cdi(world)


def gpus_come_by_cdi(world: World, *flags: str) -> None:
    world.agents(Setup(plugin_flags=(*flags, *driver_flags(world.fake_driver()))))
    world.until_allocatable({GPU: "8"})
    world.apply(pod("two", {GPU: 2}), pod("three", {GPU: 3}), pod("none"))
    world.until_running("two", "three", "none")
    two, three, none = (world.inside(name) for name in ("two", "three", "none"))
    assert (len(gpu_nodes(two)), len(gpu_nodes(three)), gpu_nodes(none)) == (2, 3, set())
    assert not gpu_nodes(two) & gpu_nodes(three)
    assert {"/dev/nvidiactl", "/dev/nvidia-uvm"} <= two.devices
    assert any(path.endswith(f"/libcuda.so.{VERSION}") for path in two.mounts)
    assert two.environment["NVIDIA_VISIBLE_DEVICES"] == "void"


def gpu_nodes(inside: Inside) -> set[str]:
    return {path for path in inside.devices if re.fullmatch(r"/dev/nvidia\d+", path)}


SCENARIOS = (
    Scenario(a_pod_sees_the_nodes_and_libraries_of_its_gpus_and_no_others, real_only=NO_CONTAINERS),
    Scenario(a_node_that_can_uses_cdi_without_being_told, real_only=NO_CONTAINERS),
)
