"""From the start of a kubelet on a fresh Node to the first pod with GPUs."""

import json

from tests.e2e.objects import pod
from tests.e2e.overlay import AGENTS, NAMESPACE
from tests.e2e.scenarios.gpus import H100
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

GONE = "example.com/nowhere"


def a_fresh_node_soon_runs_a_pod_with_gpus(world: World) -> None:
    world.agents(Setup())
    select_nodes(world, "true")
    world.until("no agents", lambda: not world.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name"))
    world.kill("kubelet")
    world.kubectl("delete", "node", world.node)
    select_nodes(world, None)
    world.apply(pod("first", {GPU: 2}, selector=H100))
    with world.measured("fresh kubelet started -> first pod with GPUs running"):
        with world.measured("fresh kubelet started -> GPUs allocatable"):
            with world.measured("fresh kubelet started -> Node labelled by gfd"):
                world.start("kubelet")
                world.until("gfd's labels", lambda: H100.items() <= world.labels.items())
            world.until_allocatable({GPU: "8"})
        world.until_running("first")


def select_nodes(world: World, wanted: str | None) -> None:
    """With a value no Node has what the agents' pods ask for."""
    patch = {"spec": {"template": {"spec": {"nodeSelector": {GONE: wanted}}}}}
    for agent in AGENTS:
        world.kubectl("patch", "daemonset", agent, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch))


SCENARIOS = (Scenario(a_fresh_node_soon_runs_a_pod_with_gpus, real_only="what is measured is the real programs"),)
