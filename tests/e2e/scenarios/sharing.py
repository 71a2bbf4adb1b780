"""GPUs that several containers share, and those that belong to a team."""

from tests.e2e.driver import driver_flags
from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.world import GPU, MPS_CONTROL, Setup, World

TEAM = "nvidia.com/team-a"
SLICED = """version: v1
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


def a_sliced_gpu_is_given_to_as_many_pods_as_it_has_replicas(world: World) -> None:
    world.agents(Setup(gpus="t4x1", config=SLICED))
    world.until_allocatable({GPU: "3"})
    product = world.until("the product", lambda: shared_product(world))
    names = ("one", "two", "three")
    world.apply(*(pod(name, {GPU: 1}, selector={"nvidia.com/gpu.product": product}) for name in names))
    world.until_running(*names)
    assert len({world.inside(name).gpus for name in names}) == 1
    assert world.labels["nvidia.com/gpu.replicas"] == "3"


def shared_product(world: World) -> str | None:
    product = world.labels.get("nvidia.com/gpu.product", "")
    return product if product.endswith("-SHARED") else None


def two_replicas_for_one_container_are_refused_where_that_is_asked_for(world: World) -> None:
    world.agents(Setup(gpus="t4x1", config=SLICED))
    world.until_allocatable({GPU: "3"})
    world.apply(pod("greedy", {GPU: 2}))
    world.until("refused", lambda: world.phase("greedy") == "Failed")
    status = world.get("pod", "greedy")["status"]
    assert status["reason"] == "UnexpectedAdmissionError"
    assert "of shared ones a container may have 1" in status["message"]


def a_pool_has_its_gpus_and_the_common_resource_the_others(world: World) -> None:
    world.agents(Setup(config=POOLS))
    world.until_allocatable({GPU: "6", TEAM: "2"})
    world.apply(pod("anybody", {GPU: 6}), pod("team", {TEAM: 2}))
    world.until_running("anybody", "team")
    anybody, team = world.inside("anybody").gpus, world.inside("team").gpus
    assert (len(anybody), len(team), len(anybody | team)) == (6, 2, 8)


def clients_meet_the_mps_daemon_of_their_gpu_and_it_comes_back_when_it_dies(world: World) -> None:
    root = world.mps_root()
    flags = (f"--mps-root={root}", *driver_flags(world.fake_driver()))
    world.agents(Setup(gpus="t4x1", config=MPS, mps=root, plugin_flags=flags))
    world.until_allocatable({GPU: "3"})
    world.apply(pod("one", {GPU: 1}), pod("two", {GPU: 1}))
    world.until_running("one", "two")
    for client in map(world.inside, ("one", "two")):
        assert client.environment["CUDA_MPS_PIPE_DIRECTORY"] == PIPE
        assert {PIPE, "/dev/shm"} <= client.mounts
    assert world.kubectl("exec", "one", "--", "cat", f"{PIPE}/visible").startswith("GPU-")
    with world.measured("MPS daemon killed -> it serves again"):
        world.kill(MPS_CONTROL)
        world.until("it is there again", lambda: serves(world) == 2)
    assert world.log("gpu-device-plugin").count("mps_daemon_down") == 1
    assert len(world.kubectl("exec", "two", "--", "cat", f"{PIPE}/starts").split()) == 2
    world.until_allocatable({GPU: "3"})


def serves(world: World) -> int:
    """How often its daemon has begun to."""
    return world.log("gpu-device-plugin").count("mps_daemon_serves")


SCENARIOS = (
    Scenario(a_sliced_gpu_is_given_to_as_many_pods_as_it_has_replicas),
    Scenario(two_replicas_for_one_container_are_refused_where_that_is_asked_for),
    Scenario(a_pool_has_its_gpus_and_the_common_resource_the_others),
    Scenario(clients_meet_the_mps_daemon_of_their_gpu_and_it_comes_back_when_it_dies, real_only=NO_CONTAINERS),
)
