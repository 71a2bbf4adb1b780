"""gpu-operator without drivers: NodeFeatureGroups, and objects of Nodes that are gone."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nfd_lite.topology.kubelet_policy import parse_kubelet_policy
from nfd_lite.topology.node_topology import NodeTopology, render_topology
from node_core.domain.features import Features
from node_core.domain.node_feature import NodeFeature, render_node_feature
from tests.e2e.objects import Obj, custom
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Setup, World

NAMESPACE = "default"
TEAM = "example.com/team"
KERNEL = Features(attributes={"kernel.version": {"major": "99"}})
KINDS = ("nodefeatures.nfd.k8s-sigs.io", "noderesourcetopologies.topology.node.k8s.io")


def a_group_follows_the_labels_and_features_of_nodes(world: World) -> None:
    """The agents of the Node publish labels only. The other Node has a NodeFeature object."""
    world.agents(Setup())
    groups = (
        group("by-feature", "kernel.version", {"major": {"op": "Gt", "value": ["2"]}}),
        group("by-label", "node.label", {TEAM: {"op": "In", "value": ["blue"]}}),
        group("broken", "kernel.version", {"major": {"op": "Gt", "value": ["two"]}}),
    )
    with created(world, *groups), operator(world, "--feature-groups"):
        world.until("the Node in the group", lambda: nodes_of(world, "by-feature") == [world.node])
        world.add_node("joins", {})
        world.kubectl("label", "node", "joins", f"{TEAM}=blue")
        world.apply(node_feature(world, "joins", KERNEL))
        world.until("both Nodes", lambda: nodes_of(world, "by-feature") == sorted([world.node, "joins"]))
        world.until("the labelled Node", lambda: nodes_of(world, "by-label") == ["joins"])
        world.kubectl("delete", "node", "joins")
        world.until("one Node", lambda: nodes_of(world, "by-feature") == [world.node])
        world.until("an empty group", lambda: nodes_of(world, "by-label") == [])
        condition = world.until("the condition", lambda: condition_of(world, "broken"))
        assert (condition["status"], condition["reason"]) == ("False", "RuleFailed")
        assert "rule 'r' fails on" in condition["message"]
        world.until("the Event", lambda: "RuleFailed" in world.kubectl("get", "events"))
    world.kubectl("delete", "nodefeature", "joins", "--ignore-not-found")


def kubernetes_removes_the_objects_of_a_deleted_node(world: World) -> None:
    world.add_node("gone", {})
    uid = world.get("node", "gone")["metadata"]["uid"]
    topology = NodeTopology(policy=parse_kubelet_policy({}), zones=())
    world.apply(node_feature(world, "gone", KERNEL), render_topology(topology, node_name="gone", node_uid=uid))
    world.kubectl("delete", "node", "gone")
    world.until("no object of the Node", lambda: not objects_of(world, "gone"))


def objects_that_node_feature_discovery_left_are_removed(world: World) -> None:
    """Other owners than the Node remain, so that Kubernetes does not remove the objects."""
    with operator(world, "--gc-interval", "1h") as log:
        world.until("the lead", lambda: "leader_elected" in log())
        world.add_node("gone", {})
        world.add_node("stays", {})
        for name in ("gone", "stays"):
            topology = render_topology(
                NodeTopology(policy=parse_kubelet_policy({}), zones=()), node_name=name, node_uid=""
            )
            feature = node_feature(world, name, KERNEL)
            del feature["metadata"]["ownerReferences"]
            world.apply(feature, topology)
        world.kubectl("delete", "node", "gone")
        with world.measured("removal of the objects of a deleted Node"):
            world.until("no object of the Node", lambda: not objects_of(world, "gone"))
        assert len(objects_of(world, "stays")) == len(KINDS)
    for kind in KINDS:
        world.kubectl("delete", kind, "stays")


def group(name: str, feature: str, expressions: Obj) -> Obj:
    rules = [{"name": "r", "matchFeatures": [{"feature": feature, "matchExpressions": expressions}]}]
    return custom("NodeFeatureGroup", name, {"featureGroupRules": rules}, namespace=NAMESPACE)


def node_feature(world: World, node: str, features: Features) -> Obj:
    """Renders the object as nfd-lite does."""
    uid = world.get("node", node)["metadata"]["uid"]
    return render_node_feature(
        NodeFeature(node_name=node, node_uid=uid, labels={}, features=features), name=node, namespace=NAMESPACE
    )


def status_of(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.kubectl("get", "nodefeaturegroup", name, "-o", "json"))
    return found.get("status") or {}


def nodes_of(world: World, name: str) -> list[str] | None:
    """None before the first evaluation."""
    status = status_of(world, name)
    return [each["name"] for each in status.get("nodes") or ()] if status else None


def condition_of(world: World, name: str) -> dict[str, Any] | None:
    return next(iter(status_of(world, name).get("conditions") or ()), None)


def objects_of(world: World, node: str) -> list[str]:
    return world.kubectl("get", *(f"{kind}/{node}" for kind in KINDS), "--ignore-not-found", "-o", "name").split()


@contextlib.contextmanager
def created(world: World, *objects: Obj) -> Iterator[None]:
    world.apply(*objects)
    try:
        yield
    finally:
        for each in objects:
            world.kubectl("delete", each["kind"], each["metadata"]["name"])


@contextlib.contextmanager
def operator(world: World, *flags: str) -> Iterator[Callable[[], str]]:
    """Runs gpu-operator on this machine in the block. Yields a function that returns its log."""
    command = (sys.executable, "-m", "gpu_operator", "--kubeconfig", str(world.kubeconfig), "--drivers=false")
    options = ("--operator-namespace", NAMESPACE, "--http-address", "", "--log-format", "json")
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen((*command, *options, *flags), stdout=log.fileno(), stderr=log.fileno())
        try:
            yield Path(log.name).read_text
        finally:
            process.terminate()
            process.wait(timeout=20)


SCENARIOS = (
    Scenario(a_group_follows_the_labels_and_features_of_nodes),
    Scenario(objects_that_node_feature_discovery_left_are_removed),
    Scenario(
        kubernetes_removes_the_objects_of_a_deleted_node,
        real_only="the simulated API server does not delete objects whose owner is deleted",
    ),
)
