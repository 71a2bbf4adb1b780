"""A GPU that goes wrong under a pod: it is told where people look, nobody new gets it, and it comes back by itself."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

BROKEN = 3
CONFIG = """version: v1
health:
  holdDown: 2s
"""


def a_gpu_that_fails_leaves_and_returns_and_its_pod_is_told(world: World) -> None:
    at = world.settle_s
    xid = f"at: {at}, gpu: {BROKEN}, kind: xid, code: 48"
    recovery = f"at: {at}, for: {world.settle_s // 3}, gpu: {BROKEN}, kind: recovery, action: reset"
    world.agents(Setup(config=CONFIG, faults=(xid, recovery), plugin_flags=("--sleep-interval=2s",)))
    world.until_allocatable({GPU: "8"})
    world.apply(pod("all", {GPU: 8}))
    world.until_running("all")
    world.until_allocatable({GPU: "7"})
    world.until("the Node's condition", lambda: gpu_ready(world) == ("True", "SomeGPUsUnhealthy"))
    world.until("the Node's Event", lambda: "GPUUnhealthy" in reasons(world, world.node))
    if world.tells_of_devices:
        world.until("the Pod's Event", lambda: "GPUUnhealthy" in reasons(world, "all"))
        world.until("the Pod's status", lambda: unhealthy_devices(world, "all") == 1)
    world.until_allocatable({GPU: "8"})
    world.until("the condition again", lambda: gpu_ready(world) == ("True", "GPUsReady"))
    world.until("the Event again", lambda: "GPURecovered" in reasons(world, world.node))
    if world.tells_of_devices:
        world.until("the Pod's status again", lambda: unhealthy_devices(world, "all") == 0)
    assert world.phase("all") == "Running"


def gpu_ready(world: World) -> tuple[str, str] | None:
    """Status and reason of the Node's condition."""
    conditions = world.get("node", world.node)["status"].get("conditions", ())
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "GPUReady"), None)


def reasons(world: World, name: str) -> list[str]:
    """Of the Events about an object."""
    return world.kubectl(
        "get", "events", "-A", f"--field-selector=involvedObject.name={name}", "-o", "jsonpath={.items[*].reason}"
    ).split()


def unhealthy_devices(world: World, name: str) -> int:
    """How many of the devices that a Pod holds its status calls unhealthy."""
    (container,) = world.get("pod", name)["status"]["containerStatuses"]
    resources = (each for status in container["allocatedResourcesStatus"] for each in status["resources"])
    return sum(each["health"] == "Unhealthy" for each in resources)


SCENARIOS = (Scenario(a_gpu_that_fails_leaves_and_returns_and_its_pod_is_told),)
