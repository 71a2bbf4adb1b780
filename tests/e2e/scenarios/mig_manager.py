"""mig-manager changes the MIG layout of a node while pods use other MIG devices."""

import contextlib
import json
from collections.abc import Iterator

from gpu_core.clients.pause import DEPLOY, Pause
from node_core.values import replace
from tests.e2e.objects import daemon_set, pod
from tests.e2e.scenarios.mig import LARGE, PROFILES, SMALL
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World
from tests.manifests.helm import load, template

CONFIG, STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
MEDIUM = "nvidia.com/mig-2g.20gb"
RETAINING = Setup(gpus="h100x8-mig-mixed", flags=("--mig-strategy=mixed",), mig_state="retaining")
WAITING = replace(RETAINING, mig_state="waiting", mig_flags=("--mig-busy-timeout=3s",))
COMPONENTS, OTHER = "device-plugin,dcgm", "other-plugin"
PLUGIN = f"{DEPLOY}device-plugin"
PAUSING = Setup(
    gpus="a100x8",
    flags=("--mig-strategy=mixed",),
    mig_state="pausing",
    mig_flags=(f"--mig-pause-components={COMPONENTS}",),
)
SIX_GPUS, EIGHT_GPUS = {GPU: "6", **dict.fromkeys(PROFILES, "2")}, {LARGE: "8", MEDIUM: "8", SMALL: "16"}


def a_new_layout_retains_the_mig_devices_of_running_pods(world: World) -> None:
    world.agents(RETAINING)
    world.until_allocatable(SIX_GPUS)
    world.apply(pod("stays", {LARGE: 2}), pod("waits", {SMALL: 10}))
    world.until_running("stays")
    devices, containers = world.container("stays").gpus, container_ids(world, "stays")
    with configured(world, "all-balanced"), world.measured("label of a MIG config to allocatable MIG devices"):
        world.until_allocatable(EIGHT_GPUS)
        world.until_running("waits")
        assert (world.container("stays").gpus, container_ids(world, "stays")) == (devices, containers)
        world.until("the state success", lambda: state(world) == "success")


def a_layout_waits_for_a_busy_device_and_names_its_pod(world: World) -> None:
    world.agents(WAITING)
    world.until_allocatable(SIX_GPUS)
    world.apply(pod("busy", {LARGE: 1}))
    world.until_running("busy")
    with configured(world, "all-1g.10gb"):
        world.until("the state failed", lambda: state(world) == "failed")
        assert "pod default/busy uses MIG-" in world.until("the condition", lambda: message(world))
        assert world.phase("busy") == "Running"
        world.kubectl("delete", "pod", "busy")
        world.until_allocatable({SMALL: "56"})
        world.until("the state success", lambda: state(world) == "success")


def a_daemon_set_of_others_pauses_for_a_new_mig_mode_and_returns(world: World) -> None:
    world.agents(PAUSING)
    world.until_allocatable({GPU: "8"})
    allow_pauses(world)
    with contextlib.ExitStack() as stack:
        stack.enter_context(others(world))
        first = world.until("the pod of the DaemonSet", lambda: running_pods(world))
        stack.enter_context(configured(world, "all-1g.10gb"))
        world.until_allocatable({SMALL: "56"})
        world.until("the state success", lambda: state(world) == "success")
        again = world.until("another pod of the DaemonSet", lambda: running_pods(world) - first)
        assert len(again) == 1
        assert {key: value for key, value in world.labels.items() if key.startswith(DEPLOY)} == {PLUGIN: "true"}
        annotations = world.get("node", world.node)["metadata"]["annotations"]
        assert Pause.MIG_CHANGE.annotation not in annotations
    assert "clients_paused" in world.log("mig-manager")


def allow_pauses(world: World) -> None:
    """Applies the policies and the role that the chart has for these flags. The next start of agents restores those of the base."""
    values = ("--set=migManager.enabled=true", f"--set=migManager.pauseComponents={{{COMPONENTS}}}")
    objects = load(template(*values, "--show-only=templates/admission.yaml", "--show-only=templates/mig-manager.yaml"))
    chosen = [each for each in objects if each["kind"] in ("ValidatingAdmissionPolicy", "ClusterRole")]
    world.apply(*chosen)


@contextlib.contextmanager
def others(world: World) -> Iterator[None]:
    """Runs a DaemonSet that selects the Node as NVIDIA's device plugin does."""
    world.kubectl("label", "node", world.node, f"{PLUGIN}=true", "--overwrite")
    world.apply(daemon_set(OTHER, selector={PLUGIN: "true"}))
    try:
        yield
    finally:
        world.kubectl("delete", "daemonset", OTHER)
        world.kubectl("label", "node", world.node, f"{PLUGIN}-")


def running_pods(world: World) -> set[str]:
    """The UIDs of the running pods of the DaemonSet."""
    pods = json.loads(world.kubectl("get", "pods", "-l", f"app={OTHER}", "-o", "json"))["items"]
    return {each["metadata"]["uid"] for each in pods if each["status"]["phase"] == "Running"}


@contextlib.contextmanager
def configured(world: World, config: str) -> Iterator[None]:
    """Selects a MIG config in the block. The layout remains."""
    world.kubectl("label", "node", world.node, f"{CONFIG}={config}", "--overwrite")
    try:
        yield
    finally:
        world.kubectl("label", "node", world.node, f"{CONFIG}-")


def state(world: World) -> str | None:
    return world.labels.get(STATE)


def message(world: World) -> str:
    """The message of the condition MIGConfigured."""
    conditions = world.get("node", world.node)["status"].get("conditions", ())
    return next((str(each["message"]) for each in conditions if each["type"] == "MIGConfigured"), "")


def container_ids(world: World, name: str) -> list[str]:
    return [each["containerID"] for each in world.get("pod", name)["status"]["containerStatuses"]]


NEEDS_PROCESSES = "the simulated cluster runs all agents in one process, without mig-manager"
SCENARIOS = (
    Scenario(a_new_layout_retains_the_mig_devices_of_running_pods, real_only=NEEDS_PROCESSES),
    Scenario(a_layout_waits_for_a_busy_device_and_names_its_pod, real_only=NEEDS_PROCESSES),
    Scenario(a_daemon_set_of_others_pauses_for_a_new_mig_mode_and_returns, real_only=NEEDS_PROCESSES),
)
