"""Other clients write to the Node."""

import json

from tests.e2e.objects import custom
from tests.e2e.scenarios.labels import owned_labels
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Setup, World

COUNT = "nvidia.com/gpu.count"


def an_agent_restores_its_labels_and_ignores_other_labels(world: World) -> None:
    world.agents(Setup())
    world.until("the labels of gfd", lambda: world.labels.get(COUNT) == "8")
    world.kubectl("label", "node", world.node, "example.com/rack=r7", f"{COUNT}=2", "--overwrite")
    world.until("the restored label", lambda: world.labels.get(COUNT) == "8")
    world.kubectl("label", "node", world.node, f"{COUNT}-")
    world.until("the restored label", lambda: world.labels.get(COUNT) == "8")
    assert world.labels["example.com/rack"] == "r7"
    world.kubectl("label", "node", world.node, "example.com/rack-")
    assert "example.com/rack" not in world.labels


def another_field_manager_gets_a_conflict_and_gfd_restores_its_label(world: World) -> None:
    world.agents(Setup())
    world.until("the labels of gfd", lambda: world.labels.get(COUNT) == "8")
    refused = apply_label(world, COUNT, "4")
    assert 'conflict with "gfd"' in refused
    assert world.labels[COUNT] == "8"
    apply_label(world, COUNT, "4", "--force-conflicts")
    world.until(
        "gfd to own its label again",
        lambda: world.labels.get(COUNT) == "8" and COUNT in owned_labels(world, "gfd"),
    )


def labels_of_another_field_manager_are_retained(world: World) -> None:
    world.agents(Setup())
    world.until("the labels of gfd", lambda: world.labels.get(COUNT) == "8")
    apply_label(world, "nvidia.com/other", "1")
    world.replace_agents()
    world.until("the labels of gfd", lambda: world.labels.get(COUNT) == "8")
    assert world.labels["nvidia.com/other"] == "1"
    apply_label(world)
    assert "nvidia.com/other" not in world.labels


def objects_that_violate_the_schema_are_refused(world: World) -> None:
    rule = custom(
        "NodeFeatureRule",
        "bad",
        {"rules": [{"name": "r", "matchFeatures": [{"feature": "a.b", "matchExpressions": {"x": {"op": "Almost"}}}]}]},
    )
    feature = custom("NodeFeature", "bad", {"labels": {"a": 1}}, namespace="default")
    for each, field in ((rule, "op"), (feature, "labels.a")):
        message = world.kubectl("create", "-f", "-", stdin=json.dumps(each), check=False)
        assert "is invalid" in message
        assert field in message


def apply_label(world: World, key: str | None = None, value: str = "", *flags: str) -> str:
    """Applies one label, or none, as the field manager `somebody`."""
    labels = {} if key is None else {key: value}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": world.node, "labels": labels}}
    command = ("apply", "--server-side", "--field-manager=somebody", *flags, "-f", "-")
    return world.kubectl(*command, stdin=json.dumps(node), check=False)


SCENARIOS = (
    Scenario(an_agent_restores_its_labels_and_ignores_other_labels),
    Scenario(another_field_manager_gets_a_conflict_and_gfd_restores_its_label),
    Scenario(labels_of_another_field_manager_are_retained),
    Scenario(
        objects_that_violate_the_schema_are_refused,
        real_only="the simulated API server has no schemas of custom resources",
    ),
)
