"""Configs for kinds of nodes: a label of the Node names the one that counts."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.scenarios.sharing import POOLS, TEAM
from tests.e2e.world import GPU, Setup, World

LABEL = "nvidia.com/device-plugin.config"
NAMED = Setup(configs={"default": "version: v1\n", "teams": POOLS, "broken": "version: v1\npoools: []\n"})


def a_label_chooses_the_config_and_a_pod_that_runs_does_not_notice(world: World) -> None:
    world.agents(NAMED)
    world.until_allocatable({GPU: "8"})
    world.apply(pod("before", {GPU: 1}))
    world.until_running("before")
    uid = world.get("pod", "before")["metadata"]["uid"]
    with labelled(world, "teams"):
        world.until_allocatable({GPU: "6", TEAM: "2"})
        world.apply(pod("team", {TEAM: 1}))
        world.until_running("team")
    world.until_allocatable({GPU: "8"})
    assert world.get("pod", "before")["metadata"]["uid"] == uid
    assert world.phase("before") == "Running"


def a_config_that_is_wrong_or_not_there_leaves_the_last_one(world: World) -> None:
    world.agents(NAMED)
    world.until_allocatable({GPU: "8"})
    for name, said in (("broken", "poools"), ("nowhere", "nowhere")):
        with labelled(world, name):
            until_said(world, said)
            assert world.allocatable == {GPU: "8"}


def until_said(world: World, words: str) -> None:
    world.until(f"{words} is said", lambda: words in world.log("gpu-device-plugin"))


@contextmanager
def labelled(world: World, config: str) -> Iterator[None]:
    world.kubectl("label", "node", world.node, f"{LABEL}={config}", "--overwrite")
    try:
        yield
    finally:
        world.kubectl("label", "node", world.node, f"{LABEL}-")


SCENARIOS = (
    Scenario(a_label_chooses_the_config_and_a_pod_that_runs_does_not_notice),
    Scenario(a_config_that_is_wrong_or_not_there_leaves_the_last_one),
)
