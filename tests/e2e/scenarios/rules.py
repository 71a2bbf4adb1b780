"""NodeFeatureRules and NodeFeatures, as people and other programs write them."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.objects import Obj, custom, pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Setup, World

LINUX = {"feature": "kernel.version", "matchExpressions": {"major": {"op": "Ge", "value": ["3"], "type": "version"}}}
RULE = custom(
    "NodeFeatureRule",
    "e2e",
    {
        "rules": [
            {
                "name": "linux",
                "labels": {"example.com/kernel": "@kernel.version.full", "example.com/linux": "true"},
                "annotations": {"example.com/seen": "yes"},
                "extendedResources": {"example.com/seats": "4"},
                "vars": {"tier": "gold"},
                "taints": [{"key": "example.com/linux", "value": "true", "effect": "PreferNoSchedule"}],
                "matchFeatures": [LINUX],
            },
            {
                "name": "after",
                "labels": {"example.com/tier": "gold"},
                "matchFeatures": [
                    {"feature": "rule.matched", "matchExpressions": {"tier": {"op": "In", "value": ["gold"]}}}
                ],
            },
        ]
    },
)
SEATS = "example.com/seats"
TRUSTING = Setup(nfd_flags=("--merge-node-features=true", "--enable-taints=true"))


def a_rule_makes_all_its_outputs_and_takes_them_along(world: World) -> None:
    world.agents(TRUSTING)
    with applied(world, RULE):
        world.until("its labels", lambda: world.labels.get("example.com/tier") == "gold")
        assert world.labels["example.com/kernel"] == platform.release()
        world.until("its resource", lambda: world.allocatable.get(SEATS) == "4")
        world.until("its taint", lambda: "example.com/linux" in tainted(world))
        assert world.get("node", world.node)["metadata"]["annotations"]["example.com/seen"] == "yes"
        world.apply(pod("seated", {SEATS: 1}, selector={"example.com/linux": "true"}))
        world.until_running("seated")
    world.until("no labels", lambda: not any(key.startswith("example.com/") for key in world.labels))
    world.until("no resource", lambda: SEATS not in world.allocatable)
    world.until("no taint", lambda: not tainted(world))
    assert "example.com/seen" not in world.get("node", world.node)["metadata"]["annotations"]


def what_another_program_says_of_the_node_becomes_a_label(world: World) -> None:
    world.agents(TRUSTING)
    said = custom(
        "NodeFeature",
        "e2e",
        {"features": {}, "labels": {"example.com/firmware": "7"}},
        namespace="default",
        labels={"nfd.node.kubernetes.io/node-name": world.node},
    )
    with applied(world, said):
        world.until("the label", lambda: world.labels.get("example.com/firmware") == "7")
    world.until("no label", lambda: "example.com/firmware" not in world.labels)


def tainted(world: World) -> list[str]:
    """Keys of taints that are not Kubernetes' own."""
    taints = world.get("node", world.node)["spec"].get("taints", ())
    return [taint["key"] for taint in taints if not taint["key"].startswith("node.kubernetes.io/")]


@contextmanager
def applied(world: World, each: Obj) -> Iterator[None]:
    world.apply(each)
    try:
        yield
    finally:
        world.kubectl("delete", each["kind"], each["metadata"]["name"])


SCENARIOS = (
    Scenario(a_rule_makes_all_its_outputs_and_takes_them_along),
    Scenario(what_another_program_says_of_the_node_becomes_a_label),
)
