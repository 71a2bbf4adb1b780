"""What manifests/examples says comes of each example does."""

from collections.abc import Mapping

from tests.e2e.examples import Expected, read_config, read_expected, read_objects, read_values, tidy
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.world import GPU, Setup, World

OLD = {
    "fleet.example.com/platform": "old",
    "feature.node.kubernetes.io/system-os_release.ID": "rocky",
    "nvidia.com/cuda.runtime.major": "11",
}
"""What nfd-lite and gfd say of a node with an old system."""


def play(world: World, name: str, setup: Setup, amounts: Mapping[str, str]) -> None:
    """Applies an example to nodes that have these resources, and waits until all is as its README says."""
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


def the_example_labelled_node_is_as_it_says(world: World) -> None:
    play(world, "labelled-node", Setup(), {GPU: "8"})
    assert len(world.inside("training").gpus) == 2


def the_example_premium_gpu_is_as_it_says(world: World) -> None:
    play(world, "premium-gpu", Setup(config=read_config("premium-gpu")), {GPU: "8"})


def the_example_mig_slice_is_as_it_says(world: World) -> None:
    setup = Setup(gpus="h100x8-mig-mixed", flags=(f"--mig-strategy={read_values('mig-slice')['migStrategy']}",))
    profiles = ("mig-3g.40gb", "mig-2g.20gb", "mig-1g.10gb.me", "mig-1g.10gb")
    play(world, "mig-slice", setup, {GPU: "6", **{f"nvidia.com/{profile}": "2" for profile in profiles}})
    kinds = {name: {gpu[:4] for gpu in world.inside(name).gpus} for name in ("small", "large", "whole")}
    assert kinds == {"small": {"MIG-"}, "large": {"MIG-"}, "whole": {"GPU-"}}


def the_example_shared_gpu_is_as_it_says(world: World) -> None:
    play(world, "shared-gpu", Setup(gpus="t4x1", config=read_config("shared-gpu")), {GPU: "3"})
    assert len({world.inside(name).gpus for name in ("one", "two", "three")}) == 1


def the_example_pinned_pool_is_as_it_says(world: World) -> None:
    amounts = {GPU: "6", "nvidia.com/team-a": "2"}
    play(world, "pinned-pool", Setup(config=read_config("pinned-pool")), amounts)
    assert not world.inside("team-a").gpus & world.inside("anybody").gpus


def the_example_mixed_fleet_is_as_it_says(world: World) -> None:
    rules = read_objects("mixed-fleet", "rule")
    world.apply(*rules)
    try:
        play(world, "mixed-fleet", Setup(), {GPU: "8"})
        assert world.bound_to("modern") == world.node
        world.add_node("old", {GPU: "1"})
        world.kubectl("label", "node", "old", *(f"{key}={value}" for key, value in OLD.items()))
        world.until("legacy on the old node", lambda: world.bound_to("legacy") == "old")
    finally:
        for rule in rules:
            world.kubectl("delete", "nodefeaturerule", rule["metadata"]["name"])


SCENARIOS = (
    Scenario(the_example_labelled_node_is_as_it_says),
    Scenario(the_example_premium_gpu_is_as_it_says),
    Scenario(the_example_mig_slice_is_as_it_says),
    Scenario(the_example_shared_gpu_is_as_it_says),
    Scenario(the_example_pinned_pool_is_as_it_says),
    Scenario(the_example_mixed_fleet_is_as_it_says),
)
