"""People and other programs write to the Node too."""

import json

from tests.e2e.objects import custom
from tests.e2e.scenarios.labels import owned
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Setup, World

COUNT = "nvidia.com/gpu.count"


def what_a_person_labels_stays_theirs_and_what_is_ours_comes_back(world: World) -> None:
    world.agents(Setup())
    world.until("gfd's labels", lambda: world.labels.get(COUNT) == "8")
    world.kubectl("label", "node", world.node, "example.com/rack=r7", f"{COUNT}=2", "--overwrite")
    world.until("the count", lambda: world.labels[COUNT] == "8")
    world.kubectl("label", "node", world.node, f"{COUNT}-")
    world.until("the count again", lambda: world.labels.get(COUNT) == "8")
    assert world.labels["example.com/rack"] == "r7"
    world.kubectl("label", "node", world.node, "example.com/rack-")
    assert "example.com/rack" not in world.labels


def another_manager_is_told_of_the_conflict_and_an_agent_takes_its_label_back(world: World) -> None:
    world.agents(Setup())
    world.until("gfd's labels", lambda: world.labels.get(COUNT) == "8")
    refused = apply_label(world, COUNT, "4")
    assert 'conflict with "gfd"' in refused
    assert world.labels[COUNT] == "8"
    apply_label(world, COUNT, "4", "--force-conflicts")
    world.until("the count", lambda: world.labels[COUNT] == "8")
    assert COUNT in owned(world, "gfd")


def what_another_manager_applies_beside_ours_is_left_alone(world: World) -> None:
    world.agents(Setup())
    world.until("gfd's labels", lambda: world.labels.get(COUNT) == "8")
    apply_label(world, "nvidia.com/not-ours", "1")
    world.replace_agents()
    world.until("gfd's labels", lambda: world.labels.get(COUNT) == "8")
    assert world.labels["nvidia.com/not-ours"] == "1"
    apply_label(world)
    assert "nvidia.com/not-ours" not in world.labels


def objects_that_break_the_schema_are_refused(world: World) -> None:
    rule = custom(
        "NodeFeatureRule",
        "bad",
        {"rules": [{"name": "r", "matchFeatures": [{"feature": "a.b", "matchExpressions": {"x": {"op": "Almost"}}}]}]},
    )
    feature = custom("NodeFeature", "bad", {"labels": {"a": 1}}, namespace="default")
    for each, field in ((rule, "op"), (feature, "labels.a")):
        said = world.kubectl("create", "-f", "-", stdin=json.dumps(each), check=False)
        assert "is invalid" in said
        assert field in said


def apply_label(world: World, key: str | None = None, value: str = "", *flags: str) -> str:
    """What another field manager applies, all of it: nothing without a key."""
    labels = {} if key is None else {key: value}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": world.node, "labels": labels}}
    command = ("apply", "--server-side", "--field-manager=somebody", *flags, "-f", "-")
    return world.kubectl(*command, stdin=json.dumps(node), check=False)


SCENARIOS = (
    Scenario(what_a_person_labels_stays_theirs_and_what_is_ours_comes_back),
    Scenario(another_manager_is_told_of_the_conflict_and_an_agent_takes_its_label_back),
    Scenario(what_another_manager_applies_beside_ours_is_left_alone),
    Scenario(objects_that_break_the_schema_are_refused, real_only="a stand-in has no schemas of custom resources"),
)
