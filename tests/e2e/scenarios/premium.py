"""Nodes with expensive GPUs are kept for pods that may have them."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

KEY = "nvidia.com/gpu.premium"
RULES = f"""version: v1
premium:
  - name: big-gpus
    match: {{product: "*H100*", memoryAtLeast: 80Gi}}
    taint: {{key: {KEY}, value: "true", effect: NoSchedule}}
    labels: {{{KEY}: "true"}}
"""
TOLERATION = {"key": KEY, "operator": "Equal", "value": "true", "effect": "NoSchedule"}


def only_pods_that_tolerate_it_land_on_a_premium_node(world: World) -> None:
    world.add_node("plain", {})
    world.agents(Setup(config=RULES))
    world.until("the taint", lambda: taints(world) == [{key: TOLERATION[key] for key in ("key", "value", "effect")}])
    world.until_allocatable({GPU: "8"})
    world.apply(
        pod("anybody"),
        pod("outsider", {GPU: 1}),
        pod("member", {GPU: 1}, selector={KEY: "true"}, tolerations=[TOLERATION]),
    )
    world.until_running("member")
    assert world.bound_to("member") == world.node
    assert world.until("a node for anybody", lambda: world.bound_to("anybody")) == "plain"
    assert world.bound_to("outsider") is None


def a_rule_that_is_gone_takes_its_taint_along(world: World) -> None:
    world.agents(Setup(config=RULES))
    world.until("the taint", lambda: taints(world))
    world.agents(Setup())
    world.until("no taint", lambda: not taints(world))
    assert KEY not in world.labels


def taints(world: World) -> list[dict[str, str]]:
    """Of the rules, not of Kubernetes."""
    found = world.get("node", world.node)["spec"].get("taints", [])
    return [taint for taint in found if not taint["key"].startswith("node.kubernetes.io/")]


SCENARIOS = (
    Scenario(only_pods_that_tolerate_it_land_on_a_premium_node),
    Scenario(a_rule_that_is_gone_takes_its_taint_along),
)
