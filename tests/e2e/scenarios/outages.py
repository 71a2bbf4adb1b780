"""Everything is killed once, under pods that have GPUs."""

from tests.e2e.objects import pod
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World


def a_kubelet_that_is_killed_finds_its_gpus_again(world: World) -> None:
    before = start_pod(world)
    for _ in range(world.repeats):
        with world.measured("kubelet killed and started -> plugin registered"), world.registered_anew():
            world.kill("kubelet")
            world.start("kubelet")
    world.until_allocatable({GPU: "8"})
    nothing_is_lost(world, before)


def an_api_server_that_is_killed_is_waited_for(world: World) -> None:
    before = start_pod(world)
    for _ in range(world.repeats):
        world.kill("kube-apiserver")
        with world.measured("API server started -> a changed label is ours again"):
            world.start("kube-apiserver")
            world.until("an answer", lambda: world.kubectl("label", "node", world.node, "nvidia.com/gpu.count-"))
            world.until("the label", lambda: world.labels.get("nvidia.com/gpu.count") == "8")
    nothing_is_lost(world, before)


def a_plugin_that_is_killed_comes_back_with_its_gpus(world: World) -> None:
    before = start_pod(world)
    with world.measured("plugin killed -> registered"), world.registered_anew():
        world.kill("gpu-device-plugin")
    world.until_allocatable({GPU: "8"})
    nothing_is_lost(world, before)


def agents_that_are_replaced_lose_no_label_and_no_gpu(world: World) -> None:
    before = start_pod(world)
    labels = own_labels(world)
    for _ in range(world.repeats):
        with world.measured("agents replaced -> registered"), world.registered_anew():
            world.replace_agents()
    world.until_allocatable({GPU: "8"})
    assert own_labels(world) == labels
    nothing_is_lost(world, before)


def start_pod(world: World) -> tuple[str, frozenset[str]]:
    """A pod with three GPUs, as it has to be found again."""
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("before", {GPU: 3}))
    world.until_running("before")
    return identity(world), world.inside("before").gpus


def nothing_is_lost(world: World, before: tuple[str, frozenset[str]]) -> None:
    """It runs as it did, and another gets other GPUs."""
    world.until_running("before")
    assert (identity(world), world.inside("before").gpus) == before
    world.apply(pod("after", {GPU: 5}))
    world.until_running("after")
    assert len(world.inside("after").gpus) == 5
    assert not world.inside("after").gpus & before[1]


def identity(world: World) -> str:
    """The same Pod, with a container that was never started anew."""
    found = world.get("pod", "before")
    (container,) = found["status"]["containerStatuses"]
    return f"{found['metadata']['uid']} {container.get('containerID')} {container['restartCount']}"


def own_labels(world: World) -> dict[str, str]:
    prefixes = ("feature.node.kubernetes.io/", "nvidia.com/")
    return {key: value for key, value in world.labels.items() if key.startswith(prefixes)}


SCENARIOS = (
    Scenario(a_kubelet_that_is_killed_finds_its_gpus_again),
    Scenario(an_api_server_that_is_killed_is_waited_for),
    Scenario(a_plugin_that_is_killed_comes_back_with_its_gpus),
    Scenario(agents_that_are_replaced_lose_no_label_and_no_gpu),
)
