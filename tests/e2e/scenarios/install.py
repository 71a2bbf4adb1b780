"""Overlays of the manifests, and uninstalling."""

import json
from pathlib import Path

import yaml

from tests.e2e.cluster.image import GPUNODE
from tests.e2e.objects import Obj, pod
from tests.e2e.overlay import AGENTS, NAMESPACE
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

MANIFESTS = Path(__file__).parents[3] / "manifests"
CLEANUP = "gpunode-cleanup"
PLUGIN = "gpu-device-plugin"
OLD_PLUGIN = "nvidia-device-plugin-daemonset"
SHARED = ("Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
"""Kinds of objects that the agents and the cleanup have in common."""


def the_api_server_accepts_every_overlay(world: World) -> None:
    """A dry run needs the namespace, so the agents are installed first."""
    world.agents(Setup())
    for overlay in sorted((MANIFESTS / "overlays").iterdir()):
        output = world.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(overlay))
        assert "daemonset.apps/" in output, overlay


def an_uninstall_removes_everything_from_a_node(world: World) -> None:
    world.agents(Setup())
    world.until(
        "labels and condition",
        lambda: label_managers(world) >= {"gfd", "nfd-lite"} and "GPUReady" in conditions(world),
    )
    world.kubectl("label", "node", world.node, "nvidia.com/other=1", "--overwrite")
    cleanup = cleanup_objects(world)
    world.kubectl("delete", "daemonset", "-n", NAMESPACE, *AGENTS)
    try:
        world.apply(*cleanup)
        world.kubectl("rollout", "status", f"daemonset/{CLEANUP}", "-n", NAMESPACE, "--timeout=120s")
        assert not label_managers(world) & set(AGENTS)
        assert "GPUReady" not in conditions(world)
        assert not [key for key in world.get("node", world.node)["metadata"]["annotations"] if "gpunode" in key]
        assert world.labels["nvidia.com/other"] == "1"
    finally:
        world.kubectl("delete", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": cleanup}))
        world.kubectl("label", "node", world.node, "nvidia.com/other-")


def pods_keep_their_gpus_in_a_migration_and_on_the_way_back(world: World) -> None:
    """docs/how-to/migrate.md. The plugin of this tree, under the name of NVIDIA's, stands in for the old plugin."""
    world.agents(Setup())
    old = old_plugin(world)
    world.kubectl("delete", "daemonset", "-n", NAMESPACE, PLUGIN)
    try:
        world.until("no allocatable GPUs", lambda: not world.allocatable)
        world.apply(old)
        world.until_allocatable({GPU: "8"})
        world.apply(pod("before", {GPU: 2}))
        world.until_running("before")

        world.kubectl("delete", "daemonset", "-n", NAMESPACE, OLD_PLUGIN)
        world.until("no allocatable GPUs", lambda: not world.allocatable)
        world.apply(pod("between", {GPU: 3}))
        world.agents(Setup())
        world.until_running("between")

        world.kubectl("delete", "daemonset", "-n", NAMESPACE, PLUGIN)
        world.until("no allocatable GPUs", lambda: not world.allocatable)
        world.apply(old)
        world.until_allocatable({GPU: "8"})
        world.apply(pod("after", {GPU: 3}))
        world.until_running("before", "between", "after")
        assert (
            len(frozenset[str]().union(*(world.container(name).gpus for name in ("before", "between", "after")))) == 8
        )
        assert world.get("pod", "before")["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        world.kubectl("delete", "daemonset", "-n", NAMESPACE, OLD_PLUGIN, "--ignore-not-found")


def old_plugin(world: World) -> Obj:
    """The DaemonSet of the plugin under another name."""
    spec = world.get("daemonset", PLUGIN, "-n", NAMESPACE)["spec"]
    labels = {"name": OLD_PLUGIN}
    spec["selector"], spec["template"]["metadata"]["labels"] = {"matchLabels": labels}, labels
    metadata = {"name": OLD_PLUGIN, "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}


def cleanup_objects(world: World) -> list[Obj]:
    """The objects of manifests/cleanup with the image of this tree, without the SHARED kinds."""
    objects = list(yaml.safe_load_all(world.kubectl("kustomize", str(MANIFESTS / "cleanup"))))
    for each in objects:
        if each["kind"] == "DaemonSet":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container |= {"image": GPUNODE, "imagePullPolicy": "Never"}
    return [each for each in objects if each["kind"] not in SHARED]


def label_managers(world: World) -> set[str]:
    """The field managers that own labels of the Node. A manager that removed all its labels keeps an empty entry."""
    managed = world.get("node", world.node, "--show-managed-fields")["metadata"]["managedFields"]
    applied = [each for each in managed if each["operation"] == "Apply"]
    return {each["manager"] for each in applied if each["fieldsV1"].get("f:metadata", {}).get("f:labels")}


def conditions(world: World) -> set[str]:
    return {each["type"] for each in world.get("node", world.node)["status"]["conditions"]}


SCENARIOS = (
    Scenario(
        pods_keep_their_gpus_in_a_migration_and_on_the_way_back,
        real_only="the simulated cluster starts no pods of DaemonSets",
    ),
    Scenario(the_api_server_accepts_every_overlay, real_only="the simulated API server has no schema of DaemonSets"),
    Scenario(
        an_uninstall_removes_everything_from_a_node, real_only="the simulated cluster starts no pods of DaemonSets"
    ),
)
