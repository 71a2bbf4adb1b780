"""From the start of a kubelet on a new Node to the first running pod with GPUs."""

import json

from tests.e2e.objects import pod
from tests.e2e.overlay import AGENTS, NAMESPACE
from tests.e2e.scenarios.gpus import H100
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

NO_NODE = "example.com/no-node"


def a_new_node_runs_a_pod_with_gpus(world: World) -> None:
    world.agents(Setup())
    set_node_selector(world, "true")
    world.until("the agents to end", lambda: not world.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name"))
    world.kill("kubelet")
    world.kubectl("delete", "node", world.node)
    set_node_selector(world, None)
    world.apply(pod("first", {GPU: 2}, selector=H100))
    with world.measured("new kubelet started -> first pod with GPUs running"):
        with world.measured("new kubelet started -> GPUs allocatable"):
            with world.measured("new kubelet started -> Node labelled by gfd"):
                world.start("kubelet")
                world.until("the labels of gfd", lambda: H100.items() <= world.labels.items())
            world.until_allocatable({GPU: "8"})
        world.until_running("first")


def set_node_selector(world: World, value: str | None) -> None:
    """With a value, the agents' pods select a label that no Node has."""
    patch = {"spec": {"template": {"spec": {"nodeSelector": {NO_NODE: value}}}}}
    for agent in AGENTS:
        world.kubectl("patch", "daemonset", agent, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch))


SCENARIOS = (Scenario(a_new_node_runs_a_pod_with_gpus, real_only="the measurement needs the real programs"),)
