"""The labels of the Node."""

import platform

from tests.e2e.overlay import AGENTS, NAMESPACE
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import Setup, World


def each_agent_runs_with_its_own_service_account(world: World) -> None:
    world.agents(Setup())
    pods = world.kubectl(
        *("get", "pods", "-n", NAMESPACE, "-o"),
        "jsonpath={range .items[*]}{.spec.serviceAccountName} {.status.containerStatuses[0].ready} "
        "{.status.containerStatuses[0].restartCount}{'\\n'}{end}",
    )
    assert sorted(pods.splitlines()) == sorted(f"{agent} true 0" for agent in AGENTS)


def the_node_has_labels_for_its_machine_and_its_gpus(world: World) -> None:
    world.agents(Setup())
    expected = {
        "feature.node.kubernetes.io/kernel-version.full": platform.release(),
        "feature.node.kubernetes.io/pci-0302_10de.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "8",
    }
    world.until(f"the labels {expected}", lambda: expected.items() <= world.labels.items())


def each_agent_owns_only_its_own_labels(world: World) -> None:
    world.agents(Setup())

    def have_own_labels() -> bool:  # waits also until the labels of an earlier rule are removed
        nfd, gfd = owned_labels(world, "nfd-lite"), owned_labels(world, "gfd")
        return (
            all(key.startswith(("feature.node.kubernetes.io/", "nvidia.com/gpu.present")) for key in nfd)
            and all(key.startswith("nvidia.com/") for key in gfd)
            and {"nvidia.com/gpu.present"} <= nfd
            and {"nvidia.com/gpu.count"} <= gfd
            and not nfd & gfd
        )

    world.until("nfd-lite and gfd to own only their own labels", have_own_labels)


def owned_labels(world: World, manager: str) -> set[str]:
    """The labels that a field manager owns by server-side apply."""
    node = world.get("node", world.node, "--show-managed-fields")
    fields = [each["fieldsV1"] for each in node["metadata"]["managedFields"] if each["manager"] == manager]
    return {key.removeprefix("f:") for each in fields for key in each.get("f:metadata", {}).get("f:labels", {})}


SCENARIOS = (
    Scenario(each_agent_runs_with_its_own_service_account, real_only="the simulated cluster has no DaemonSets"),
    Scenario(the_node_has_labels_for_its_machine_and_its_gpus),
    Scenario(each_agent_owns_only_its_own_labels),
)
