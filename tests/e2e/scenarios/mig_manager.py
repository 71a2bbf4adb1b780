"""mig-manager changes the MIG layout of a node while pods use other MIG devices."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from tests.e2e.objects import pod
from tests.e2e.scenarios.mig import LARGE, PROFILES, SMALL
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

CONFIG, STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
MEDIUM = "nvidia.com/mig-2g.20gb"
RETAINING = Setup(gpus="h100x8-mig-mixed", flags=("--mig-strategy=mixed",), mig_state="retaining")
WAITING = replace(RETAINING, mig_state="waiting", mig_flags=("--mig-busy-timeout=3s",))
SIX_GPUS, EIGHT_GPUS = {GPU: "6", **dict.fromkeys(PROFILES, "2")}, {LARGE: "8", MEDIUM: "8", SMALL: "16"}


def a_new_layout_retains_the_mig_devices_of_running_pods(world: World) -> None:
    world.agents(RETAINING)
    world.until_allocatable(SIX_GPUS)
    world.apply(pod("stays", {LARGE: 2}), pod("waits", {SMALL: 10}))
    world.until_running("stays")
    devices, containers = world.container("stays").gpus, container_ids(world, "stays")
    with configured(world, "all-balanced"), world.measured("label of a MIG config to allocatable MIG devices"):
        world.until_allocatable(EIGHT_GPUS)
        world.until_running("waits")
        assert (world.container("stays").gpus, container_ids(world, "stays")) == (devices, containers)
        world.until("the state success", lambda: state(world) == "success")


def a_layout_waits_for_a_busy_device_and_names_its_pod(world: World) -> None:
    world.agents(WAITING)
    world.until_allocatable(SIX_GPUS)
    world.apply(pod("busy", {LARGE: 1}))
    world.until_running("busy")
    with configured(world, "all-1g.10gb"):
        world.until("the state failed", lambda: state(world) == "failed")
        assert "pod default/busy uses MIG-" in world.until("the condition", lambda: message(world))
        assert world.phase("busy") == "Running"
        world.kubectl("delete", "pod", "busy")
        world.until_allocatable({SMALL: "56"})
        world.until("the state success", lambda: state(world) == "success")


@contextlib.contextmanager
def configured(world: World, config: str) -> Iterator[None]:
    """Selects a MIG config in the block. The layout remains."""
    world.kubectl("label", "node", world.node, f"{CONFIG}={config}", "--overwrite")
    try:
        yield
    finally:
        world.kubectl("label", "node", world.node, f"{CONFIG}-")


def state(world: World) -> str | None:
    return world.labels.get(STATE)


def message(world: World) -> str:
    """The message of the condition MIGConfigured."""
    conditions = world.get("node", world.node)["status"].get("conditions", ())
    return next((str(each["message"]) for each in conditions if each["type"] == "MIGConfigured"), "")


def container_ids(world: World, name: str) -> list[str]:
    return [each["containerID"] for each in world.get("pod", name)["status"]["containerStatuses"]]


NEEDS_PROCESSES = "the simulated cluster runs all agents in one process, without mig-manager"
SCENARIOS = (
    Scenario(a_new_layout_retains_the_mig_devices_of_running_pods, real_only=NEEDS_PROCESSES),
    Scenario(a_layout_waits_for_a_busy_device_and_names_its_pod, real_only=NEEDS_PROCESSES),
)
