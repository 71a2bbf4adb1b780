"""A GPU of a running pod becomes unhealthy: condition, Events and allocatable change, and change back after the recovery."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

UNHEALTHY = 3
CONFIG = """version: v1
health:
  holdDown: 2s
"""


def an_unhealthy_gpu_is_reported_and_recovers(world: World) -> None:
    at = world.pod_start_s
    xid = f"at: {at}, gpu: {UNHEALTHY}, kind: xid, code: 48"
    recovery = f"at: {at}, for: {world.pod_start_s // 3}, gpu: {UNHEALTHY}, kind: recovery, action: reset"
    world.agents(Setup(config=CONFIG, faults=(xid, recovery), plugin_flags=("--sleep-interval=2s",)))
    world.until_allocatable({GPU: "8"})
    world.apply(pod("all", {GPU: 8}))
    world.until_running("all")
    world.until_allocatable({GPU: "7"})
    world.until("the condition of the Node", lambda: gpu_ready(world) == ("True", "SomeGPUsUnhealthy"))
    world.until("an Event of the Node", lambda: "GPUUnhealthy" in reasons(world, world.node))
    if world.reports_devices:
        world.until("an Event of the Pod", lambda: "GPUUnhealthy" in reasons(world, "all"))
        world.until("one unhealthy device in the status of the Pod", lambda: unhealthy_devices(world, "all") == 1)
    world.until_allocatable({GPU: "8"})
    world.until("the condition GPUsReady", lambda: gpu_ready(world) == ("True", "GPUsReady"))
    world.until("the Event GPURecovered", lambda: "GPURecovered" in reasons(world, world.node))
    if world.reports_devices:
        world.until("no unhealthy device in the status of the Pod", lambda: unhealthy_devices(world, "all") == 0)
    assert world.phase("all") == "Running"


def gpu_ready(world: World) -> tuple[str, str] | None:
    """The status and reason of the condition GPUReady."""
    conditions = world.get("node", world.node)["status"].get("conditions", ())
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "GPUReady"), None)


def reasons(world: World, name: str) -> list[str]:
    """The reasons of the Events of an object."""
    return world.kubectl(
        "get", "events", "-A", f"--field-selector=involvedObject.name={name}", "-o", "jsonpath={.items[*].reason}"
    ).split()


def unhealthy_devices(world: World, name: str) -> int:
    """The number of unhealthy devices in the status of a Pod."""
    (container,) = world.get("pod", name)["status"]["containerStatuses"]
    resources = (each for status in container["allocatedResourcesStatus"] for each in status["resources"])
    return sum(each["health"] == "Unhealthy" for each in resources)


SCENARIOS = (Scenario(an_unhealthy_gpu_is_reported_and_recovers),)
