"""NodeFeatureRules and NodeFeature objects of other clients."""

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
WITH_RULES = Setup(nfd_flags=("--merge-node-features=true", "--enable-taints=true"))


def all_outputs_of_a_rule_are_removed_with_the_rule(world: World) -> None:
    world.agents(WITH_RULES)
    with applied(world, RULE):
        world.until("all outputs of the rule", lambda: has_all_outputs(world))
        world.apply(pod("seated", {SEATS: 1}, selector={"example.com/linux": "true"}))
        world.until_running("seated")
    world.until("no output of the rule", lambda: has_no_output(world))


def has_all_outputs(world: World) -> bool:
    labels = {"example.com/tier": "gold", "example.com/kernel": platform.release()}
    return (
        labels.items() <= world.labels.items()
        and annotations(world).get("example.com/seen") == "yes"
        and world.allocatable.get(SEATS) == "4"
        and "example.com/linux" in taint_keys(world)
    )


def has_no_output(world: World) -> bool:
    keys = (*world.labels, *annotations(world), *world.allocatable, *taint_keys(world))
    return not any(key.startswith("example.com/") for key in keys)


def annotations(world: World) -> dict[str, str]:
    found: dict[str, str] = world.get("node", world.node)["metadata"].get("annotations") or {}
    return found


def a_node_feature_object_becomes_a_label(world: World) -> None:
    world.agents(WITH_RULES)
    feature = custom(
        "NodeFeature",
        "e2e",
        {"features": {}, "labels": {"example.com/firmware": "7"}},
        namespace="default",
        labels={"nfd.node.kubernetes.io/node-name": world.node},
    )
    with applied(world, feature):
        world.until("the label", lambda: world.labels.get("example.com/firmware") == "7")
    world.until("no label", lambda: "example.com/firmware" not in world.labels)


def taint_keys(world: World) -> list[str]:
    """The keys of the taints of the Node, without the taints of Kubernetes."""
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
    Scenario(all_outputs_of_a_rule_are_removed_with_the_rule),
    Scenario(a_node_feature_object_becomes_a_label),
)
