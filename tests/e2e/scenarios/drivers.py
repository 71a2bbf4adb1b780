"""Drivers of driver pods: from a bare node to a pod with a GPU, nodes with a driver of their own, and removal.

The driver image simulates a driver (tests/e2e/driver_image). The agents read this driver as a real one, without --simulate.
"""

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_operator.upgrade.keys import STATE
from gpu_operator.view import OWNER
from tests.e2e.driver import CONTROL, NULL
from tests.e2e.driver_image.build import NAME, REPOSITORY, VERSION, install_driver
from tests.e2e.objects import Obj, pod
from tests.e2e.overlay import NAMESPACE
from tests.e2e.scenarios.cdi import gpu_nodes
from tests.e2e.scenarios.gpus import unschedulable_reason
from tests.e2e.scenarios.install import CLEANUP, cleanup_objects, conditions
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, Setup, World

RUN = Path("/run/nvidia")
HOLD = RUN / "hold-driver"
CDI = Path("/var/run/cdi")
HOST_DRIVER = Path("/usr/local/nvidia")
"""A folder in which nfd-lite searches a driver of the host. The machine of the cluster has none."""
DEPLOY = "nvidia.com/gpu.deploy.driver"
PRESENT = "nvidia.com/gpu.present"
DEPLOY_PLUGIN = "nvidia.com/gpu.deploy.device-plugin"
DRIVER_VERSION = "nvidia.com/cuda.driver-version.full"
GPUS = 8
PROBE = {"initialDelaySeconds": 1, "periodSeconds": 1}
DRIVER: Obj = {
    "apiVersion": "nvidia.com/v1alpha1",
    "kind": "NVIDIADriver",
    "metadata": {"name": "default"},
    "spec": {
        "repository": REPOSITORY,
        "image": NAME,
        "version": VERSION,
        "imagePullPolicy": "Never",
        "startupProbe": PROBE,
        "readinessProbe": PROBE,
    },
}


def a_bare_node_gets_a_driver_labels_devices_and_a_pod_stage_by_stage(world: World) -> None:
    with installed(world), held():
        world.apply(pod("cuda", {GPU: 1}))
        assert PRESENT not in world.labels
        assert not driver_pods(world)
        world.start_agents(setup(world))
        world.until("the driver pod waits", lambda: "waiting for the end of" in driver_log(world))
        assert world.labels[PRESENT] == "true"
        assert DRIVER_VERSION not in world.labels
        world.until("the condition names the driver", lambda: gpu_ready(world) == ("False", "NoDriver"))
        assert world.node in json.dumps(status(world)), "the status of the driver names the node"
        assert world.phase("cuda") == "Pending"
        world.kubectl("label", "node", world.node, f"{DEPLOY_PLUGIN}=false")
        HOLD.unlink()
        world.until("the driver pod is ready", lambda: [is_ready(each) for each in driver_pods(world)] == [True])
        world.until("labels", lambda: world.labels.get(DRIVER_VERSION) == VERSION)
        assert not world.allocatable
        assert "Insufficient nvidia.com/gpu" in (unschedulable_reason(world, "cuda") or "")
        world.kubectl("label", "node", world.node, f"{DEPLOY_PLUGIN}-")
        world.until_allocatable({GPU: "8"})
        world.until_running("cuda")
        container = world.container("cuda")
        assert len(gpu_nodes(container)) == 1
        assert any(path.endswith(f"/libcuda.so.{VERSION}") for path in container.mounts)
        world.until("the condition", lambda: gpu_ready(world) == ("True", "GPUsReady"))


def a_node_with_a_driver_of_its_own_gets_devices_and_no_driver_pod(world: World) -> None:
    """With the settings of the node that gets a driver pod. When its driver is removed, it becomes such a node."""
    with installed(world), host_driver():
        world.start_agents(setup(world))
        world.apply(pod("cuda", {GPU: 1}))
        world.until("the label", lambda: world.labels.get(DEPLOY) == "pre-installed")
        world.until("the status", lambda: "PreInstalled" in json.dumps(status(world)))
        events = world.kubectl("get", "events", "-n", NAMESPACE, "-o", "json")
        assert "nvidia-driver-daemonset" not in events
        assert not driver_pods(world)
        world.until("labels", lambda: world.labels.get(DRIVER_VERSION) == VERSION)
        world.until_running("cuda")
        container = world.container("cuda")
        assert len(gpu_nodes(container)) == 1
        assert any(path.endswith(f"/libcuda.so.{VERSION}") for path in container.mounts)
        world.kubectl("delete", "pod", "cuda", "--timeout=60s")
        shutil.rmtree(HOST_DRIVER)
        world.until("a driver pod", lambda: [is_ready(each) for each in driver_pods(world)] == [True])
        assert DEPLOY not in world.labels


def a_deletion_of_everything_leaves_nothing_on_the_node(world: World) -> None:
    with installed(world):
        before = files_in(RUN)
        world.start_agents(setup(world))
        world.until_allocatable({GPU: "8"})
        assert (RUN / "nvidia-driver.pid").exists()
        world.kubectl("delete", "nvidiadriver", "default")
        world.until("the end of the driver pod", lambda: not driver_pods(world) and not daemon_sets(world))
        assert files_in(RUN) == before
        world.until("the labels are removed", lambda: not {OWNER, STATE} & world.labels.keys())
        world.kubectl("delete", "deployments,daemonsets", "--all", "-n", NAMESPACE)
        cleanup = cleanup_objects(world)
        try:
            world.apply(*cleanup)
            world.kubectl("rollout", "status", f"daemonset/{CLEANUP}", "-n", NAMESPACE, "--timeout=120s")
            assert not [key for key in world.labels if key.startswith("nvidia.com/")]
            assert not [each for each in conditions(world) if "GPU" in each]
            assert not [path for path in CDI.glob("*") if "nvidia" in path.name]
        finally:
            world.kubectl("delete", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": cleanup}))


def a_driver_container_that_was_killed_is_cleaned_up(world: World) -> None:
    """SIGKILL leaves the mount and the files of the container. The init container of the next pod removes them."""
    with installed(world):
        world.start_agents(setup(world))
        world.until("a driver pod", lambda: [is_ready(each) for each in driver_pods(world)] == [True])
        (before,) = driver_pods(world)
        world.kill("/usr/bin/nvidia-driver")
        world.kubectl("delete", "pod", "-n", NAMESPACE, before["metadata"]["name"], "--force", "--grace-period=0")
        world.until("another driver pod", lambda: driver_pods(world) and driver_pods(world) != [before])
        world.until("ready", lambda: [is_ready(each) for each in driver_pods(world)] == [True])
        assert "driver_root_unmounted" in driver_log(world, "gpu-driver-manager")
        world.until_allocatable({GPU: "8"})


def setup(world: World) -> Setup:
    return Setup(gpu_host=world.driver_host(), installs_drivers=True, nfd_flags=("--sleep-interval=1s",))


@contextlib.contextmanager
def installed(world: World) -> Iterator[None]:
    """The object of the driver in the block. No agent runs when the block begins, and no driver remains at its end."""
    world.remove_agents()
    world.kubectl("delete", f"--raw=/api/v1/namespaces/{NAMESPACE}/events")  # one request, not one for each Event
    world.apply(DRIVER)
    try:
        yield
    finally:
        HOLD.unlink(missing_ok=True)
        world.kubectl("delete", "pods", "--all", "--timeout=60s")
        world.kubectl("delete", "nvidiadriver", "--all")
        world.until("the end of the driver pods", lambda: not driver_pods(world))
        world.remove_agents()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """The driver container installs nothing until the file HOLD is removed."""
    RUN.mkdir(exist_ok=True)
    HOLD.touch()
    try:
        yield
    finally:
        HOLD.unlink(missing_ok=True)


@contextlib.contextmanager
def host_driver() -> Iterator[None]:
    """The machine of the cluster has the driver of the image, with device nodes, in the block."""
    nodes = [Path("/dev", name) for name in (*CONTROL, *(f"nvidia{minor}" for minor in range(GPUS)))]
    assert not HOST_DRIVER.exists()
    try:
        install_driver(HOST_DRIVER)
        for node in nodes:
            os.mknod(node, stat.S_IFCHR | 0o666, NULL)
            node.chmod(0o666)
        yield
    finally:
        shutil.rmtree(HOST_DRIVER, ignore_errors=True)
        for node in nodes:
            node.unlink(missing_ok=True)


def files_in(folder: Path) -> set[Path]:
    """The files of the machine. Mounts of containers do not appear here."""
    return {path for path in folder.rglob("*") if path.is_file()}


def driver_pods(world: World) -> list[Obj]:
    selector = "app.kubernetes.io/component=nvidia-driver"
    items: list[Obj] = json.loads(world.kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"))["items"]
    return items


def daemon_sets(world: World) -> list[str]:
    names = world.kubectl("get", "daemonsets", "-n", NAMESPACE, "-o", "name").split()
    return [name for name in names if "nvidia-driver-daemonset" in name]


def is_ready(each: Obj) -> bool:
    conditions: Any = each["status"].get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def driver_log(world: World, container: str = "nvidia-driver-ctr") -> str:
    selector = ("-l", "app.kubernetes.io/component=nvidia-driver", "-c", container, "--tail=-1")
    return world.kubectl("logs", "-n", NAMESPACE, *selector, check=False)


def gpu_ready(world: World) -> tuple[str, str] | None:
    """Status and reason of the condition GPUReady."""
    conditions = world.get("node", world.node)["status"].get("conditions", ())
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "GPUReady"), None)


def status(world: World) -> Obj:
    found: Obj = world.get("nvidiadriver", "default").get("status", {})
    return found


SCENARIOS = (
    Scenario(a_bare_node_gets_a_driver_labels_devices_and_a_pod_stage_by_stage, real_only=NO_CONTAINERS),
    Scenario(a_node_with_a_driver_of_its_own_gets_devices_and_no_driver_pod, real_only=NO_CONTAINERS),
    Scenario(a_driver_container_that_was_killed_is_cleaned_up, real_only=NO_CONTAINERS),
    Scenario(a_deletion_of_everything_leaves_nothing_on_the_node, real_only=NO_CONTAINERS),
)
