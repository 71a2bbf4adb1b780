"""What people do with the manifests beyond applying them: other overlays, and the way out."""

import json
from pathlib import Path

import yaml

from tests.e2e.cluster.image import GPUNODE
from tests.e2e.objects import Obj
from tests.e2e.overlay import AGENTS, NAMESPACE
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Setup, World

MANIFESTS = Path(__file__).parents[3] / "manifests"
CLEANUP = "gpunode-cleanup"
SHARED = ("Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
"""Kinds of what the agents and the cleanup both bring."""


def the_api_server_takes_every_overlay(world: World) -> None:
    """The namespace is there, since the agents are: a dry run does not make it."""
    world.agents(Setup())
    for overlay in sorted((MANIFESTS / "overlays").iterdir()):
        said = world.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(overlay))
        assert "daemonset.apps/" in said, overlay


def an_uninstall_leaves_nothing_of_ours_on_a_node(world: World) -> None:
    world.agents(Setup())
    world.until("all labels", lambda: labellers(world) >= {"gfd", "nfd-lite"})
    world.until("the condition", lambda: "GPUReady" in conditions(world))
    world.kubectl("label", "node", world.node, "nvidia.com/not-ours=1", "--overwrite")
    cleanup = cleanup_objects(world)
    world.kubectl("delete", "daemonset", "-n", NAMESPACE, *AGENTS)
    try:
        world.apply(*cleanup)
        world.kubectl("rollout", "status", f"daemonset/{CLEANUP}", "-n", NAMESPACE, "--timeout=120s")
        assert not labellers(world) & set(AGENTS)
        assert "GPUReady" not in conditions(world)
        assert not [key for key in world.get("node", world.node)["metadata"]["annotations"] if "gpunode" in key]
        assert world.labels["nvidia.com/not-ours"] == "1"
    finally:
        world.kubectl("delete", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": cleanup}))
        world.kubectl("label", "node", world.node, "nvidia.com/not-ours-")


def cleanup_objects(world: World) -> list[Obj]:
    """manifests/cleanup with the image of this tree, without what is there and stays."""
    found = list(yaml.safe_load_all(world.kubectl("kustomize", str(MANIFESTS / "cleanup"))))
    for each in found:
        if each["kind"] == "DaemonSet":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container |= {"image": GPUNODE, "imagePullPolicy": "Never"}
    return [each for each in found if each["kind"] not in SHARED]


def labellers(world: World) -> set[str]:
    """Who has applied labels to the Node. An entry of somebody who has taken all of theirs away stays, empty."""
    managed = world.get("node", world.node, "--show-managed-fields")["metadata"]["managedFields"]
    applied = [each for each in managed if each["operation"] == "Apply"]
    return {each["manager"] for each in applied if each["fieldsV1"].get("f:metadata", {}).get("f:labels")}


def conditions(world: World) -> set[str]:
    return {each["type"] for each in world.get("node", world.node)["status"]["conditions"]}


SCENARIOS = (
    Scenario(the_api_server_takes_every_overlay, real_only="a stand-in knows no schemas of DaemonSets"),
    Scenario(an_uninstall_leaves_nothing_of_ours_on_a_node, real_only="a stand-in starts no pods of DaemonSets"),
)
