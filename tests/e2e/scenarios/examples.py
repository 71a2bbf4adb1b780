"""Each example in manifests/examples has the result that its README documents."""

from collections.abc import Mapping

from tests.e2e.examples import Expected, read_config, read_expected, read_objects, read_values, tidy
from tests.e2e.scenarios import premium
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

OLD = {
    "fleet.example.com/platform": "old",
    "feature.node.kubernetes.io/system-os_release.ID": "rocky",
    "nvidia.com/cuda.runtime.major": "11",
}
"""Labels of a node with an old system and driver."""


def verify_example(world: World, name: str, setup: Setup, amounts: Mapping[str, str]) -> None:
    """Waits for these allocatable resources, applies the example, and waits for the output that its README documents."""
    world.agents(setup)
    world.until_allocatable(amounts)
    for expected in read_expected(name):
        if expected.command[:2] == ("get", "nodes"):
            until_printed(world, expected)
    world.apply(*read_objects(name))
    for expected in read_expected(name):
        until_printed(world, expected)


def until_printed(world: World, expected: Expected) -> None:
    def is_printed() -> bool:
        return tidy(world.kubectl(*expected.command)) == expected.output

    world.until(f"kubectl {' '.join(expected.command)}: {expected.output!r}", is_printed)


def the_example_labelled_node_has_the_documented_result(world: World) -> None:
    verify_example(world, "labelled-node", Setup(), {GPU: "8"})
    assert len(world.container("training").gpus) == 2


def the_example_premium_gpu_has_the_documented_result(world: World) -> None:
    with premium.applied(world, *read_values("premium-gpu")["premium"]["rules"]):
        verify_example(world, "premium-gpu", Setup(nfd_flags=premium.FLAGS), {GPU: "8"})


def the_example_mig_slice_has_the_documented_result(world: World) -> None:
    setup = Setup(gpus="h100x8-mig-mixed", flags=(f"--mig-strategy={read_values('mig-slice')['migStrategy']}",))
    profiles = ("mig-3g.40gb", "mig-2g.20gb", "mig-1g.10gb.me", "mig-1g.10gb")
    verify_example(world, "mig-slice", setup, {GPU: "6", **{f"nvidia.com/{profile}": "2" for profile in profiles}})
    prefixes = {name: {gpu[:4] for gpu in world.container(name).gpus} for name in ("small", "large", "whole")}
    assert prefixes == {"small": {"MIG-"}, "large": {"MIG-"}, "whole": {"GPU-"}}


def the_example_shared_gpu_has_the_documented_result(world: World) -> None:
    verify_example(world, "shared-gpu", Setup(gpus="t4x1", config=read_config("shared-gpu")), {GPU: "3"})
    assert len({world.container(name).gpus for name in ("one", "two", "three")}) == 1


def the_example_pinned_pool_has_the_documented_result(world: World) -> None:
    amounts = {GPU: "6", "nvidia.com/team-a": "2"}
    verify_example(world, "pinned-pool", Setup(config=read_config("pinned-pool")), amounts)
    assert not world.container("team-a").gpus & world.container("anybody").gpus


def the_example_mixed_fleet_has_the_documented_result(world: World) -> None:
    rules = read_objects("mixed-fleet", "rule")
    world.apply(*rules)
    try:
        verify_example(world, "mixed-fleet", Setup(), {GPU: "8"})
        assert world.bound_to("modern") == world.node
        world.add_node("old", {GPU: "1"})
        world.kubectl("label", "node", "old", *(f"{key}={value}" for key, value in OLD.items()))
        world.until("the pod legacy on the old node", lambda: world.bound_to("legacy") == "old")
    finally:
        for rule in rules:
            world.kubectl("delete", "nodefeaturerule", rule["metadata"]["name"])


SCENARIOS = (
    Scenario(the_example_labelled_node_has_the_documented_result),
    Scenario(the_example_premium_gpu_has_the_documented_result),
    Scenario(the_example_mig_slice_has_the_documented_result),
    Scenario(the_example_shared_gpu_has_the_documented_result),
    Scenario(the_example_pinned_pool_has_the_documented_result),
    Scenario(the_example_mixed_fleet_has_the_documented_result),
)
