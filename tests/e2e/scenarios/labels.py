"""What the Node says once the agents run."""

import platform

from tests.e2e.overlay import AGENTS, NAMESPACE
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World


def three_daemon_sets_are_ready_under_accounts_of_their_own(world: World) -> None:
    world.agents(Setup())
    pods = world.kubectl(
        *("get", "pods", "-n", NAMESPACE, "-o"),
        "jsonpath={range .items[*]}{.spec.serviceAccountName} {.status.containerStatuses[0].ready} "
        "{.status.containerStatuses[0].restartCount}{'\\n'}{end}",
    )
    assert sorted(pods.splitlines()) == sorted(f"{agent} true 0" for agent in AGENTS)


def the_node_says_what_its_machine_and_its_gpus_are(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    labels = world.labels
    assert labels["feature.node.kubernetes.io/kernel-version.full"] == platform.release()
    assert labels["feature.node.kubernetes.io/pci-0302_10de.present"] == "true"
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert labels["nvidia.com/gpu.count"] == "8"


def each_agent_owns_its_labels_and_no_others(world: World) -> None:
    world.agents(Setup())
    world.until("gfd's labels", lambda: "nvidia.com/gpu.count" in world.labels)
    assert all(
        key.startswith(("feature.node.kubernetes.io/", "nvidia.com/gpu.present")) for key in owned(world, "nfd-lite")
    )
    assert all(key.startswith("nvidia.com/") for key in owned(world, "gfd"))
    assert not owned(world, "nfd-lite") & owned(world, "gfd")


def owned(world: World, manager: str) -> set[str]:
    """Labels that server-side apply has for a field manager."""
    node = world.get("node", world.node, "--show-managed-fields")
    (entry,) = (each for each in node["metadata"]["managedFields"] if each["manager"] == manager)
    return {key.removeprefix("f:") for key in entry["fieldsV1"]["f:metadata"]["f:labels"]}


SCENARIOS = (
    Scenario(three_daemon_sets_are_ready_under_accounts_of_their_own, real_only="a stand-in has no DaemonSets"),
    Scenario(the_node_says_what_its_machine_and_its_gpus_are),
    Scenario(each_agent_owns_its_labels_and_no_others),
)
