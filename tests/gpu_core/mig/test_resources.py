"""What the GPU instances of one GPU share."""

from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpu_core.mig.resources import resource_limits, resources_of
from node_core.values import replace
from tests.gpu_core.mig.boards import H100, PROFILES, mig_gpu


def test_a_gpu_has_room_for_the_highest_count_of_each_profile() -> None:
    for model, profiles in PROFILES.items():
        gpu = mig_gpu(model)
        for profile in profiles:
            used = [profile.max_count * amount for amount in resources_of(gpu, profile)]
            assert all(map(int.__le__, used, resource_limits(gpu)))


def test_engines_that_more_instances_have_than_the_whole_gpu_are_shared() -> None:
    """On some boards NVML reports an engine for each of seven small instances, and fewer for the whole GPU."""
    engines = {"1g.10gb": 1, "2g.20gb": 1, "7g.80gb": 2}
    profiles = tuple(
        replace(profile, engines=replace(profile.engines, decoders=engines[profile.name], jpeg=0))
        for profile in PROFILES[H100]
        if profile.name in engines
    )
    gpu = replace(mig_gpu(H100), profiles=profiles)
    assert len(plan_gpu(gpu, DesiredGpu(is_enabled=True, devices={"1g.10gb": 5, "2g.20gb": 1})).create) == 6
