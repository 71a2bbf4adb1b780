"""gpu-operator upgrades the drivers of Nodes one after another, within the budget, whatever happens to gpu-operator."""

import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from node_core.kube.http import ApiClient
from tests.e2e.hollow_kubelet import HollowKubelet
from tests.e2e.node_watch import UnavailableWatch
from tests.e2e.operator_process import OperatorProcess
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, World

NAMESPACE, DRIVER = "driver-upgrades", "upgraded"
SELECTED = "gpunode.local/upgraded"
NODES = tuple(f"upgrade-{number:02}" for number in range(12))
BUDGET, KILLS, SEED = 3, 20, 20
FAILING = NODES[7]
STATE = "nvidia.com/gpu-driver-upgrade-state"
REASON = "nvidia.com/gpunode.driver-upgrade.reason"
OLD, NEW = "570.10", "580.20"
LABELS = {
    SELECTED: "yes",
    "nvidia.com/gpu.present": "true",
    "feature.node.kubernetes.io/system-os_release.ID": "ubuntu",
    "feature.node.kubernetes.io/system-os_release.VERSION_ID": "22.04",
    "feature.node.kubernetes.io/kernel-version.full": "5.15.0-105-generic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    world: World
    kubelet: HollowKubelet
    operator: OperatorProcess
    watch: UnavailableWatch

    def states(self) -> dict[str, str]:
        items = self.world.get("nodes", "-l", SELECTED)["items"]
        return {each["metadata"]["name"]: each["metadata"]["labels"].get(STATE, "") for each in items}

    def versions(self) -> set[str]:
        items = self.world.get("pods", "-n", NAMESPACE)["items"]
        return {each["spec"]["containers"][0]["image"].rpartition(":")[2].split("-")[0] for each in items}


def a_rolling_upgrade_survives_its_controller_and_names_the_node_that_fails(world: World) -> None:
    with placed(world) as place:
        world.apply(driver(OLD), workload())
        place.operator.start()
        world.until("drivers on all Nodes", lambda: set(place.states().values()) == {"upgrade-done"})
        place.kubelet.broken.add(FAILING)
        place.watch.start()
        world.apply(driver(NEW))
        kill_at_random(place)
        expected = {**dict.fromkeys(NODES, "upgrade-done"), FAILING: "upgrade-failed"}
        world.until("11 upgrades and a failure", lambda: place.states() == expected)
        assert place.watch.most <= BUDGET
        assert place.watch.seen == set(NODES)
        world.until("the name of the Node in the status", lambda: failed_nodes(world) == [FAILING])
        reason = world.get("node", FAILING)["metadata"]["annotations"][REASON]
        assert "ImagePullBackOff: the registry does not have this image" in reason
        place.kubelet.broken.clear()
        world.until("12 upgrades", lambda: place.states() == dict.fromkeys(NODES, "upgrade-done"))
        assert place.versions() == {NEW}
        assert not [each for each in world.get("nodes", "-l", SELECTED)["items"] if each["spec"].get("unschedulable")]


def kill_at_random(place: Place) -> None:
    """Kills gpu-operator again and again while it upgrades Nodes."""
    chance = random.Random(SEED)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 5.0))
        place.operator.kill()
        place.operator.start()


@contextlib.contextmanager
def placed(world: World) -> Iterator[Place]:
    """Twelve Nodes with a hollow kubelet. At the end, nothing remains except the Nodes, which World.clean removes."""
    for name in NODES:
        world.add_node(name, {GPU: "8"})
    world.kubectl("label", "node", *NODES, *(f"{key}={value}" for key, value in LABELS.items()))
    world.kubectl("create", "namespace", NAMESPACE)
    api = ApiClient(kubeconfig=str(world.kubeconfig), user_agent="e2e")
    with tempfile.NamedTemporaryFile() as log:
        place = Place(
            world=world,
            kubelet=HollowKubelet(api, NODES, refused=NEW),
            operator=OperatorProcess(world, NAMESPACE, log.file),
            watch=UnavailableWatch(api, SELECTED),
        )
        place.kubelet.start()
        try:
            yield place
        finally:
            place.operator.kill()
            place.watch.stop()
            world.kubectl("delete", "nvidiadriver", DRIVER, "--ignore-not-found")
            world.kubectl("delete", "deployment", "trainers", "--ignore-not-found")
            world.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
            place.kubelet.stop()


def failed_nodes(world: World) -> list[str]:
    groups = world.get("nvidiadriver", DRIVER).get("status", {}).get("withoutDriver", ())
    return [name for each in groups if each["reason"] == "UpgradeFailed" for name in each["nodes"]]


def driver(version: str) -> dict[str, object]:
    policy = {"maxParallelUpgrades": 0, "maxUnavailable": BUDGET, "podDeletion": {"timeoutSeconds": 60}}
    spec = {"version": version, "repository": "example.com", "nodeSelector": {SELECTED: "yes"}, "upgradePolicy": policy}
    return {"apiVersion": "nvidia.com/v1alpha1", "kind": "NVIDIADriver", "metadata": {"name": DRIVER}, "spec": spec}


def workload() -> dict[str, object]:
    """Pods with GPUs, which move from Node to Node during the upgrade."""
    container = {"name": "train", "image": "example.com/train", "resources": {"limits": {GPU: 4}}}
    template = {
        "metadata": {"labels": {"app": "trainers"}},
        "spec": {"nodeSelector": {SELECTED: "yes"}, "containers": [container]},
    }
    spec = {"replicas": 8, "selector": {"matchLabels": {"app": "trainers"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "trainers"}, "spec": spec}


NO_CONTROLLERS = "the simulated cluster has no DaemonSets, and no eviction of pods"
SCENARIOS = (
    Scenario(a_rolling_upgrade_survives_its_controller_and_names_the_node_that_fails, real_only=NO_CONTROLLERS),
)
