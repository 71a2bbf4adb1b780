"""Kills each component while a pod has GPUs."""

import functools

from tests.e2e.objects import pod
from tests.e2e.scenarios.configs import NAMED, node_label
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World


def the_plugin_registers_again_after_the_kubelet_is_killed(world: World) -> None:
    before = start_pod(world)
    for _ in range(world.repeats):
        with world.measured("kubelet killed and started -> plugin registered"), world.until_registered_again():
            world.kill("kubelet")
            world.start("kubelet")
    world.until_allocatable({GPU: "8"})
    verify_pods(world, before)


def an_agent_restores_its_label_after_the_api_server_is_killed(world: World) -> None:
    before = start_pod(world)
    for _ in range(world.repeats):
        world.kill("kube-apiserver")
        with world.measured("API server started -> gfd restores a changed label"):
            world.start("kube-apiserver")
            world.until("the API server", lambda: world.kubectl("label", "node", world.node, "nvidia.com/gpu.count-"))
            world.until("the label", lambda: world.labels.get("nvidia.com/gpu.count") == "8")
    verify_pods(world, before)


def an_unchanged_node_is_watched_after_an_api_server_restart(world: World) -> None:
    """After the restart, the API server has forgotten the resource version of the last change of the Node."""
    world.agents(NAMED)
    world.until_allocatable({GPU: "8"})
    for _ in range(world.repeats):
        restart_with_an_old_node(world)
        failures, refused = count_watch_reports(world)[1], count_refusals(world)
        with (
            node_label(world, "broken"),
            world.measured("API server restarted, label changed -> the plugin applies it"),
        ):
            world.until("the plugin to read the config", functools.partial(has_new_refusal, world, refused))
        assert count_watch_reports(world)[1] == failures, "the watch failed again"


def restart_with_an_old_node(world: World) -> None:
    """Returns when gfd watches its Node again."""
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "newer"}})
    world.kubectl("delete", "configmap", "newer")
    before = count_watch_reports(world)[0]
    world.kill("kube-apiserver")
    world.start("kube-apiserver")
    world.until("the watch", lambda: count_watch_reports(world)[0] > before)


def count_refusals(world: World) -> int:
    """The number of times that the plugin refused the config `broken`."""
    return world.log("gpu-device-plugin").count("poools")


def has_new_refusal(world: World, before: int) -> bool:
    return count_refusals(world) > before


def count_watch_reports(world: World) -> tuple[int, int]:
    """The numbers of reports by gfd that the watch of its Node works, and that it fails."""
    lines = [line for line in world.log("gfd").splitlines() if '"check": "gfd/node"' in line]
    ready = sum('"event": "ready"' in line for line in lines)
    return ready, len(lines) - ready


def a_killed_plugin_registers_again(world: World) -> None:
    before = start_pod(world)
    with world.measured("plugin killed -> registered"), world.until_registered_again():
        world.kill("gpu-device-plugin")
    world.until_allocatable({GPU: "8"})
    verify_pods(world, before)


def replaced_agents_lose_no_label_and_no_gpu(world: World) -> None:
    before = start_pod(world)
    labels = agent_labels(world)
    for _ in range(world.repeats):
        with world.measured("agents replaced -> registered"), world.until_registered_again():
            world.replace_agents()
    world.until_allocatable({GPU: "8"})
    assert agent_labels(world) == labels
    verify_pods(world, before)


def a_recreated_node_gets_all_labels_and_the_condition(world: World) -> None:
    """The agents keep running. The kubelet creates a Node of the same name without their labels and condition."""
    world.agents(Setup(plugin_flags=("--startup-taint=nvidia.com/gpu-not-ready:NoSchedule",)))
    world.until_allocatable({GPU: "8"})
    world.until("the condition", lambda: ready_condition(world) == "True")
    labels = agent_labels(world)
    world.kill("kubelet")
    world.kubectl("delete", "node", world.node)
    with world.measured("Node deleted, kubelet started -> labels and condition restored"):
        world.start("kubelet")
        world.until("labels and condition", lambda: agent_labels(world) == labels and ready_condition(world) == "True")
    world.until_allocatable({GPU: "8"})
    world.until("no startup taint", lambda: "nvidia.com/gpu-not-ready" not in taint_keys(world))


def ready_condition(world: World) -> str | None:
    conditions = world.get("node", world.node)["status"].get("conditions") or ()
    return next((each["status"] for each in conditions if each["type"] == "GPUReady"), None)


def taint_keys(world: World) -> list[str]:
    return [each["key"] for each in world.get("node", world.node)["spec"].get("taints") or ()]


def start_pod(world: World) -> tuple[str, frozenset[str]]:
    """Starts a pod with three GPUs. Returns its identity and its GPUs."""
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(pod("before", {GPU: 3}))
    world.until_running("before")
    return read_identity(world), world.container("before").gpus


def verify_pods(world: World, before: tuple[str, frozenset[str]]) -> None:
    """The pod still runs with its GPUs, and a second pod gets the other GPUs."""
    world.until_running("before")
    assert (read_identity(world), world.container("before").gpus) == before
    world.apply(pod("after", {GPU: 5}))
    world.until_running("after")
    assert len(world.container("after").gpus) == 5
    assert not world.container("after").gpus & before[1]


def read_identity(world: World) -> str:
    """The UID of the Pod, and the ID and restart count of its container."""
    found = world.get("pod", "before")
    (container,) = found["status"]["containerStatuses"]
    return f"{found['metadata']['uid']} {container.get('containerID')} {container['restartCount']}"


def agent_labels(world: World) -> dict[str, str]:
    prefixes = ("feature.node.kubernetes.io/", "nvidia.com/")
    volatile = "nvidia.com/gfd.timestamp"
    return {key: value for key, value in world.labels.items() if key.startswith(prefixes) and key != volatile}


SCENARIOS = (
    Scenario(the_plugin_registers_again_after_the_kubelet_is_killed),
    Scenario(an_agent_restores_its_label_after_the_api_server_is_killed),
    Scenario(an_unchanged_node_is_watched_after_an_api_server_restart),
    Scenario(a_killed_plugin_registers_again),
    Scenario(replaced_agents_lose_no_label_and_no_gpu),
    Scenario(a_recreated_node_gets_all_labels_and_the_condition),
)
