"""gpu-operator divides Nodes of several systems, kernels and architectures into pools. The Nodes are objects without a kubelet.

The controller runs on this machine. No driver pod runs: the Nodes have no resources for pods. So a pod is not bound to its Node, and the
DaemonSet controller notices only after 50 seconds that a pod does not match its Node any more; for bound pods it notices at once.
"""

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Obj, World

NO_CONTROLLERS = "no controller of the simulated cluster creates the pods of a DaemonSet"
NAMESPACE = "gpunode-drivers"
FEATURE = "feature.node.kubernetes.io"
KERNEL = f"{FEATURE}/kernel-version.full"
SYSTEMS = (("ubuntu", "22.04"), ("ubuntu", "24.04"), ("debian", "12"), ("sles", "15.6"))
KERNELS = ("5.15.0-105-generic", "6.1.0-18", "6.8.0-50-generic")
ARCHITECTURES = ("amd64", "arm64")
COMBINATIONS = tuple(itertools.product(SYSTEMS, KERNELS, ARCHITECTURES))
NODES = 40
DEPLOY_DRIVER = "nvidia.com/gpu.deploy.driver"
OWNER = "nvidia.com/gpu-operator.driver.owner"
PREFIX = "nvidia-driver-daemonset-"


def forty_nodes_get_exactly_the_daemon_sets_of_their_pools(world: World) -> None:
    with (
        installed(world, driver("default", usePrecompiled=True)),
        operator(world),
        world.measured("40 Nodes -> 24 DaemonSets"),
    ):
        world.until("one DaemonSet for each pool", lambda: daemon_sets(world) == {name(*each) for each in COMBINATIONS})
        world.until("the status", lambda: status(world, "default").get("nodes", {}).get("desired") == NODES)
        world.until("a pod for each Node", lambda: len(pods(world)) == NODES)
        assert owners(world) == {"default"}
        system, kernel, architecture = COMBINATIONS[NODES % len(COMBINATIONS)]
        node = f"gpu-{NODES % len(COMBINATIONS)}"
        with world.measured("a new kernel -> the Node is in another pool, and the old pool is gone"):
            world.kubectl("label", "node", node, f"{KERNEL}=6.12.1", "--overwrite")
            moved = {name(*each) for each in COMBINATIONS} - {name(system, kernel, architecture)} | {
                name(system, "6.12.1", architecture)
            }
            world.until("the pools after the change", lambda: daemon_sets(world) == moved)
        world.until("a pod for each Node", lambda: len(pods(world)) == NODES)
        world.kubectl("patch", "nvidiadriver", "default", "--type=merge", "-p", '{"spec": {"usePrecompiled": false}}')
        without_kernels = {name(each, "", arch) for each in SYSTEMS for arch in ARCHITECTURES}
        world.until("pools without kernels", lambda: daemon_sets(world) == without_kernels)
        world.kubectl("delete", "nvidiadriver", "default")
        world.until("no DaemonSet", lambda: not daemon_sets(world))
        world.until("no label", lambda: owners(world) == {None})


def bad_objects_and_nodes_are_named_and_stop_nothing_else(world: World) -> None:
    first, second = driver("first", verson="1"), driver("second", nodeSelector={"kubernetes.io/hostname": "gpu-0"})
    with installed(world, first), operator(world):
        world.until("the DaemonSets", lambda: len(daemon_sets(world)) == len(SYSTEMS) * len(ARCHITECTURES))
        world.until(
            "the unknown field", lambda: "spec.verson" in json.dumps(status(world, "first").get("notSupported"))
        )
        world.apply(second)
        world.until("the conflict", lambda: waits(world, "second", "ClaimedTwice") == ["gpu-0"])
        assert waits(world, "first", "ClaimedTwice") == ["gpu-0"]
        world.kubectl("label", "node", "gpu-1", f"{FEATURE}/system-os_release.ID-")
        world.until("the label", lambda: waits(world, "first", "MissingLabels") == ["gpu-1"])
        world.kubectl("patch", "nvidiadriver", "first", "--type=merge", "-p", '{"spec": {"version": ""}}')
        world.until("the spec", lambda: condition(world, "first") == "SpecNotValid")
        assert len(daemon_sets(world)) == len(SYSTEMS) * len(ARCHITECTURES)
        events = world.kubectl("get", "events", "--field-selector=involvedObject.kind=NVIDIADriver", "-o", "json")
        assert {"ClaimedTwice", "SpecNotValid"} <= {each["reason"] for each in json.loads(events)["items"]}


def a_second_controller_takes_over_when_the_first_is_killed(world: World) -> None:
    with installed(world, driver("default")), operator(world) as first:
        world.until("the DaemonSets", lambda: len(daemon_sets(world)) == len(SYSTEMS) * len(ARCHITECTURES))
        holder = lease(world)
        with operator(world):
            first.kill()
            with world.measured("gpu-operator killed -> another one leads"):
                world.until("another leader", lambda: lease(world) not in ("", holder))
            world.kubectl("label", "node", "gpu-0", f"{FEATURE}/system-os_release.VERSION_ID=26.04", "--overwrite")
            world.until("a pass of the second", lambda: name(("ubuntu", "26.04"), "", "amd64") in daemon_sets(world))


@contextlib.contextmanager
def installed(world: World, *drivers: Obj) -> Iterator[None]:
    """The Nodes and the objects in the block. The Node of the cluster, which may have labels of the agents, gets no driver."""
    world.kubectl("create", "namespace", NAMESPACE)
    world.kubectl("create", "serviceaccount", "gpu-driver", "-n", NAMESPACE)
    world.kubectl("label", "node", world.node, f"{DEPLOY_DRIVER}=false", "--overwrite")
    world.apply(*(gpu_node(index) for index in range(NODES)), *drivers)
    try:
        yield
    finally:
        world.kubectl("label", "node", world.node, f"{DEPLOY_DRIVER}-")
        world.kubectl("delete", "nvidiadrivers", "--all")
        world.kubectl("delete", "namespace", NAMESPACE)


@contextlib.contextmanager
def operator(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a controller on this machine. Its log is part of a failure."""
    flags = ("--operator-namespace", NAMESPACE, "--driver-manager-image", "gpunode", "--http-address", "")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (sys.executable, "-m", "gpu_operator", "--kubeconfig", str(world.kubeconfig), *flags), stderr=output
            )
        try:
            yield process
        except BaseException as error:
            error.add_note(log.read_text())
            raise
        finally:
            process.terminate()
            process.wait()


def gpu_node(index: int) -> Obj:
    (os_id, version), kernel, architecture = COMBINATIONS[index % len(COMBINATIONS)]
    labels = {
        "nvidia.com/gpu.present": "true",
        "kubernetes.io/hostname": f"gpu-{index}",
        "kubernetes.io/arch": architecture,
        KERNEL: kernel,
        f"{FEATURE}/system-os_release.ID": os_id,
        f"{FEATURE}/system-os_release.VERSION_ID": version,
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"gpu-{index}", "labels": labels}}


def driver(of: str, **spec: object) -> Obj:
    metadata = {"name": of}
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": metadata,
        "spec": {"version": "580", **spec},
    }


def name(system: tuple[str, str], kernel: str, architecture: str) -> str:
    """The name of the DaemonSet of the object `default`, without PREFIX."""
    return "-".join(filter(None, (kernel, "".join(system), architecture if architecture != "amd64" else "")))


def daemon_sets(world: World) -> set[str]:
    found = world.kubectl("get", "daemonsets", "-n", NAMESPACE, "-o", "name").split()
    return {each.removeprefix(f"daemonset.apps/{PREFIX}") for each in found}


def pods(world: World) -> list[str]:
    return world.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name").split()


def owners(world: World) -> set[str | None]:
    nodes = json.loads(world.kubectl("get", "nodes", "-l", KERNEL, "-o", "json"))["items"]
    return {each["metadata"]["labels"].get(OWNER) for each in nodes if each["metadata"]["name"].startswith("gpu-")}


def status(world: World, of: str) -> Obj:
    found: Obj = world.get("nvidiadriver", of).get("status") or {}
    return found


def condition(world: World, of: str) -> str:
    """The reason of the condition Error."""
    return next(
        (str(each["reason"]) for each in status(world, of).get("conditions", ()) if each["type"] == "Error"), ""
    )


def waits(world: World, of: str, reason: str) -> list[str]:
    groups = status(world, of).get("withoutDriver", ())
    return next((list(each["nodes"]) for each in groups if each["reason"] == reason), [])


def lease(world: World) -> str:
    return str(world.get("lease", "gpu-operator", "-n", NAMESPACE)["spec"].get("holderIdentity") or "")


SCENARIOS = (
    Scenario(forty_nodes_get_exactly_the_daemon_sets_of_their_pools, real_only=NO_CONTROLLERS),
    Scenario(bad_objects_and_nodes_are_named_and_stop_nothing_else, real_only=NO_CONTROLLERS),
    Scenario(a_second_controller_takes_over_when_the_first_is_killed, real_only=NO_CONTROLLERS),
)
