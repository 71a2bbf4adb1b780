"""A NodeFeatureRule that matches labels of gfd taints nodes with premium GPUs."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

KEY = "nvidia.com/gpu.premium"
NAME = "e2e-premium"
FLAGS = ("--enable-taints",)
TAINT = {"key": KEY, "value": "true", "effect": "NoSchedule"}
TOLERATION = {**TAINT, "operator": "Equal"}
EXPRESSIONS = {
    "nvidia.com/gpu.product": {"op": "InRegexp", "value": ["H100"]},
    "nvidia.com/gpu.memory": {"op": "Gt", "value": ["80000"]},
}
RULE = {
    "name": "big-gpus",
    "labels": {KEY: "true"},
    "taints": [TAINT],
    "matchFeatures": [{"feature": "node.label", "matchExpressions": EXPRESSIONS}],
}


@contextlib.contextmanager
def applied(world: World, *rules: dict[str, Any]) -> Iterator[None]:
    """Applies a NodeFeatureRule with these rules, and deletes it at the end of the block."""
    world.apply(
        {
            "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
            "kind": "NodeFeatureRule",
            "metadata": {"name": NAME},
            "spec": {"rules": list(rules)},
        }
    )
    try:
        yield
    finally:
        world.kubectl("delete", "nodefeaturerule", NAME)
        world.until("no taint and no label", lambda: not taints(world) and KEY not in world.labels)


def only_pods_with_the_toleration_run_on_a_premium_node(world: World) -> None:
    world.add_node("plain", {})
    with applied(world, RULE):
        world.agents(Setup(nfd_flags=FLAGS))
        world.until("the taint", lambda: taints(world) == [TAINT])
        world.until_allocatable({GPU: "8"})
        world.apply(
            pod("anybody"),
            pod("outsider", {GPU: 1}),
            pod("member", {GPU: 1}, selector={KEY: "true"}, tolerations=[TOLERATION]),
        )
        world.until_running("member")
        assert world.bound_to("member") == world.node
        assert world.until("a node for the pod", lambda: world.bound_to("anybody")) == "plain"
        assert world.bound_to("outsider") is None


def a_deleted_rule_removes_its_taint_and_label(world: World) -> None:
    with applied(world, RULE):
        world.agents(Setup(nfd_flags=FLAGS))
        world.until("the taint and the label", lambda: taints(world) and world.labels.get(KEY) == "true")


def a_rule_follows_the_labels_of_gfd(world: World) -> None:
    with applied(world, RULE):
        world.agents(Setup(gpus="t4x1", nfd_flags=FLAGS))
        world.until(
            "the product label and no taint",
            lambda: world.labels.get("nvidia.com/gpu.product") == "Tesla-T4" and not taints(world),
        )
        world.agents(Setup(nfd_flags=FLAGS))
        world.until("the taint", lambda: taints(world) == [TAINT])


def taints(world: World) -> list[dict[str, str]]:
    """The taints of the Node, without the taints of Kubernetes."""
    found = world.get("node", world.node)["spec"].get("taints", [])
    return [taint for taint in found if not taint["key"].startswith("node.kubernetes.io/")]


SCENARIOS = (
    Scenario(only_pods_with_the_toleration_run_on_a_premium_node),
    Scenario(a_deleted_rule_removes_its_taint_and_label),
    Scenario(a_rule_follows_the_labels_of_gfd),
)
