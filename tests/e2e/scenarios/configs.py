"""Configs that a label of the Node selects."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.scenarios.sharing import POOLS, TEAM
from tests.e2e.world import GPU, Setup, World

LABEL = "nvidia.com/device-plugin.config"
NAMED = Setup(configs={"default": "version: v1\n", "teams": POOLS, "broken": "version: v1\npoools: []\n"})


def a_label_selects_the_config_and_running_pods_continue(world: World) -> None:
    world.agents(NAMED)
    world.until_allocatable({GPU: "8"})
    world.apply(pod("before", {GPU: 1}))
    world.until_running("before")
    uid = world.get("pod", "before")["metadata"]["uid"]
    with node_label(world, "teams"):
        world.until_allocatable({GPU: "6", TEAM: "2"})
        world.apply(pod("team", {TEAM: 1}))
        world.until_running("team")
    world.until_allocatable({GPU: "8"})
    assert world.get("pod", "before")["metadata"]["uid"] == uid
    assert world.phase("before") == "Running"


def an_invalid_or_missing_config_keeps_the_previous_one(world: World) -> None:
    world.agents(NAMED)
    world.until_allocatable({GPU: "8"})
    for name, message in (("broken", "poools"), ("nowhere", "nowhere")):
        with node_label(world, name):
            until_logged(world, message)
            assert world.allocatable == {GPU: "8"}


def until_logged(world: World, words: str) -> None:
    world.until(f"{words} in the log", lambda: words in world.log("gpu-device-plugin"))


@contextmanager
def node_label(world: World, config: str) -> Iterator[None]:
    world.kubectl("label", "node", world.node, f"{LABEL}={config}", "--overwrite")
    try:
        yield
    finally:
        world.kubectl("label", "node", world.node, f"{LABEL}-")


SCENARIOS = (
    Scenario(a_label_selects_the_config_and_running_pods_continue),
    Scenario(an_invalid_or_missing_config_keeps_the_previous_one),
)
