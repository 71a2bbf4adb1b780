"""Shared GPUs and pools."""

import json

from tests.e2e.driver import driver_flags
from tests.e2e.objects import pod
from tests.e2e.overlay import NAMESPACE
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, MPS_CONTROL, Setup, World

TEAM = "nvidia.com/team-a"
TIME_SLICED = """version: v1
sharing:
  timeSlicing:
    failRequestsGreaterThanOne: true
    resources:
      - {name: nvidia.com/gpu, replicas: 3}
"""
MPS = """version: v1
sharing:
  mps:
    resources:
      - {name: nvidia.com/gpu, replicas: 3}
"""
PIPE = f"/mps/{GPU}/pipe"
POOLS = """version: v1
pools:
  - {name: team-a, devices: [2, 5]}
"""


def a_time_sliced_gpu_serves_one_pod_for_each_replica(world: World) -> None:
    world.agents(Setup(gpus="t4x1", config=TIME_SLICED))
    world.until_allocatable({GPU: "3"})
    product = world.until("the labels of a shared GPU", lambda: shared_product(world))
    names = ("one", "two", "three")
    world.apply(*(pod(name, {GPU: 1}, selector={"nvidia.com/gpu.product": product}) for name in names))
    world.until_running(*names)
    assert len({world.container(name).gpus for name in names}) == 1


def shared_product(world: World) -> str | None:
    labels = world.labels
    product = labels.get("nvidia.com/gpu.product", "")
    return product if product.endswith("-SHARED") and labels.get("nvidia.com/gpu.replicas") == "3" else None


def a_request_for_two_replicas_is_refused_if_configured(world: World) -> None:
    world.agents(Setup(gpus="t4x1", config=TIME_SLICED))
    world.until_allocatable({GPU: "3"})
    world.apply(pod("greedy", {GPU: 2}))
    world.until("the pod to be rejected", lambda: world.phase("greedy") == "Failed")
    status = world.get("pod", "greedy")["status"]
    assert status["reason"] == "UnexpectedAdmissionError"
    assert "a container may request only 1" in status["message"]


def a_pool_contains_its_gpus_and_the_default_resource_the_others(world: World) -> None:
    world.agents(Setup(config=POOLS))
    world.until_allocatable({GPU: "6", TEAM: "2"})
    world.apply(pod("default", {GPU: 6}), pod("team", {TEAM: 2}))
    world.until_running("default", "team")
    default, team = world.container("default").gpus, world.container("team").gpus
    assert (len(default), len(team), len(default | team)) == (6, 2, 8)


def a_killed_mps_daemon_is_restarted_for_its_clients(world: World) -> None:
    root = world.mps_root()
    flags = (f"--mps-root={root}", *driver_flags(world.fake_driver()))
    world.agents(Setup(gpus="t4x1", config=MPS, mps=root, plugin_flags=flags))
    world.until_allocatable({GPU: "3"})
    world.apply(pod("one", {GPU: 1}), pod("two", {GPU: 1}))
    world.until_running("one", "two")
    for client in map(world.container, ("one", "two")):
        assert client.environment["CUDA_MPS_PIPE_DIRECTORY"] == PIPE
        assert {PIPE, "/dev/shm"} <= client.mounts
    assert world.kubectl("exec", "one", "--", "cat", f"{PIPE}/visible").startswith("GPU-")
    with world.measured("MPS daemon killed -> restarted"):
        world.kill(MPS_CONTROL)
        world.until("the restarted daemon", lambda: count_daemon_starts(world) == 2)
    assert world.log("gpu-device-plugin").count("mps_daemon_down") == 1
    assert len(world.kubectl("exec", "two", "--", "cat", f"{PIPE}/starts").split()) == 2
    world.until_allocatable({GPU: "3"})


def a_config_change_keeps_the_mps_daemon_of_running_pods(world: World) -> None:
    root = world.mps_root()
    flags = (f"--mps-root={root}", *driver_flags(world.fake_driver()))
    world.agents(Setup(gpus="t4x1", config=MPS, mps=root, plugin_flags=flags))
    world.until_allocatable({GPU: "3"})
    world.apply(pod("one", {GPU: 1}))
    world.until_running("one")
    started = world.kubectl("exec", "one", "--", "cat", f"{PIPE}/starts")
    edit_config(world, f"{MPS}health: {{holdDown: 61s}}\n")
    world.until("the restarted plugin", lambda: '"event": "restarting"' in world.log("gpu-device-plugin"))
    world.until("the adopted daemon", lambda: "mps_daemon_adopted" in world.log("gpu-device-plugin"))
    world.until_allocatable({GPU: "3"})
    assert world.kubectl("exec", "one", "--", "cat", f"{PIPE}/starts") == started


def edit_config(world: World, text: str) -> None:
    """Changes the ConfigMap. The annotation makes the kubelet update the mounted file at once."""
    agent = ("daemonset", "gpu-device-plugin", "-n", NAMESPACE)
    volumes = json.loads(world.kubectl("get", *agent, "-o", "json"))["spec"]["template"]["spec"]["volumes"]
    name = next(volume["configMap"]["name"] for volume in volumes if volume["name"] == "files")
    patch = json.dumps({"data": {"config.yaml": text}})
    world.kubectl("patch", "configmap", name, "-n", NAMESPACE, "--type=merge", "-p", patch)
    selector = ("-l", "app.kubernetes.io/name=gpu-device-plugin")
    world.kubectl("annotate", "pods", "-n", NAMESPACE, *selector, "example.com/edited=true", "--overwrite")


def count_daemon_starts(world: World) -> int:
    """The number of times that an MPS daemon became ready."""
    return world.log("gpu-device-plugin").count("mps_daemon_ready")


SCENARIOS = (
    Scenario(a_time_sliced_gpu_serves_one_pod_for_each_replica),
    Scenario(a_request_for_two_replicas_is_refused_if_configured),
    Scenario(a_pool_contains_its_gpus_and_the_default_resource_the_others),
    Scenario(a_killed_mps_daemon_is_restarted_for_its_clients, real_only=NO_CONTAINERS),
    Scenario(a_config_change_keeps_the_mps_daemon_of_running_pods, real_only=NO_CONTAINERS),
)
