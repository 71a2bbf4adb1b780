import pytest

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import GpuInstance, Placement
from gpu_core.mig.plan import NewInstance
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from node_core.errors import MigError
from node_core.values import replace
from tests.gpu_core.mig.boards import H100, PROFILES, RTX_PRO_6000, instance, mig_gpu
from tests.gpu_core.mig.plans import apply_plan, device_counts


def test_an_equal_layout_is_an_empty_plan() -> None:
    gpu = mig_gpu(H100, instance(1, "3g.40gb", 4), instance(7, "1g.10gb", 0))
    assert plan_gpu(gpu, DesiredGpu(is_enabled=True, devices={"1g.10gb": 1, "3g.40gb": 1})).is_empty


def test_the_second_plan_is_empty() -> None:
    desired = DesiredGpu(is_enabled=True, devices={"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1})
    after = apply_plan(plan_gpu(mig_gpu(H100, enabled=False), desired))
    assert device_counts(after) == desired.devices
    assert plan_gpu(after, desired).is_empty


def test_new_instances_have_the_lowest_placements() -> None:
    plan = plan_gpu(mig_gpu(), DesiredGpu(is_enabled=True, devices={"3g.40gb": 1, "2g.20gb": 1, "1g.10gb": 2}))
    assert [(new.profile, new.placement.start, new.compute) for new in plan.create] == [
        (0, 0, (0,)),
        (0, 1, (0,)),
        (1, 2, (1,)),
        (2, 4, (2,)),
    ]


def test_busy_devices_stay_and_idle_ones_move() -> None:
    small = [instance(start + 1, "1g.10gb", start) for start in range(7)]
    busy = {MigUuid("MIG-2-0"), MigUuid("MIG-5-0"), MigUuid("MIG-6-0"), MigUuid("MIG-7-0")}
    plan = plan_gpu(mig_gpu(H100, *small), DesiredGpu(is_enabled=True, devices={"1g.10gb": 3, "3g.40gb": 1}), busy)
    assert plan.destroyed_uuids == {"MIG-1-0", "MIG-2-0", "MIG-3-0", "MIG-4-0"}
    assert plan.create == (NewInstance(profile=2, placement=Placement(start=0, size=4), compute=(2,)),)


def test_a_gpu_instance_can_be_divided_again_without_being_destroyed() -> None:
    gpu = mig_gpu(H100, instance(1, "3g.40gb", 4, "1c.3g.40gb", "1c.3g.40gb", "1c.3g.40gb"))
    desired = DesiredGpu(is_enabled=True, devices={"1c.3g.40gb": 1, "2c.3g.40gb": 1})
    plan = plan_gpu(gpu, desired, {MigUuid("MIG-1-1")})
    assert plan.destroyed_uuids == {"MIG-1-0", "MIG-1-2"}
    assert (plan.destroy, plan.create, plan.create_compute) == ((), (), ((1, 1),))


def test_small_devices_share_gpu_instances_and_the_largest_is_created_first() -> None:
    plan = plan_gpu(mig_gpu(), DesiredGpu(is_enabled=True, devices={"1c.3g.40gb": 4, "2c.3g.40gb": 1}))
    assert [(new.profile, sorted(new.compute)) for new in plan.create] == [(2, [0, 1]), (2, [0, 0, 0])]
    assert plan.create[0].compute == (1, 0)


def test_an_empty_gpu_instance_is_used_again() -> None:
    empty = mig_gpu(H100, replace(instance(3, "2g.20gb", 2), compute=()))
    plan = plan_gpu(empty, DesiredGpu(is_enabled=True, devices={"2g.20gb": 1}))
    assert (plan.destroy, plan.create, plan.create_compute) == ((), (), ((3, 1),))


def test_the_mode_off_destroys_everything() -> None:
    gpu = mig_gpu(H100, instance(1, "7g.80gb", 0))
    plan = plan_gpu(gpu, DesiredGpu(is_enabled=False))
    assert (plan.mode, plan.destroy) == (False, gpu.instances)
    assert plan.destroyed_uuids == {"MIG-1-0"}


def test_the_mode_without_devices_destroys_everything_and_leaves_the_mode() -> None:
    plan = plan_gpu(mig_gpu(H100, instance(1, "7g.80gb", 0)), DesiredGpu(is_enabled=True))
    assert plan.mode is None
    assert len(plan.destroy) == 1


def test_a_pending_mode_is_a_change() -> None:
    gpu = mig_gpu(H100)
    pending = replace(gpu, is_pending=False)
    assert plan_gpu(pending, DesiredGpu(is_enabled=True)).mode is True


def test_a_driver_without_profiles_while_the_mode_is_off_gets_a_partial_plan() -> None:
    gpu = mig_gpu(H100, enabled=False)
    old = replace(gpu, profiles=())
    plan = plan_gpu(old, DesiredGpu(is_enabled=True, devices={"1g.10gb": 7}))
    assert (plan.mode, plan.create, plan.is_partial) == (True, (), True)


def test_an_unknown_profile_is_an_error_with_a_similar_one() -> None:
    with pytest.raises(MigError) as error:
        plan_gpu(mig_gpu(), DesiredGpu(is_enabled=True, devices={"3g.48gb": 1}))
    assert str(error.value).startswith(
        "GPU 0 (GPU-0): NVIDIA H100 80GB HBM3 has no MIG profile 3g.48gb (Did you mean 3g.40gb? The profiles are: 1g.10gb, "
    )


@pytest.mark.parametrize(
    ("model", "devices", "fits"),
    [
        (H100, {"3g.40gb": 3}, "2x 3g.40gb"),
        (H100, {"3g.40gb": 2, "1g.10gb": 1}, "1x 3g.40gb, 1x 1g.10gb"),
        (H100, {"1g.10gb": 10**9}, "7x 1g.10gb"),
        (H100, {"1g.10gb+me": 2}, "1x 1g.10gb+me"),
        (H100, {"7g.80gb": 1, "4c.7g.80gb": 1}, "1x 7g.80gb"),
        (H100, {"4c.7g.80gb": 1, "3c.7g.80gb": 2}, "1x 4c.7g.80gb, 1x 3c.7g.80gb"),
        (RTX_PRO_6000, {"1g.24gb+me.all": 1, "1g.24gb": 1, "1g.24gb-me": 2}, "1x 1g.24gb, 2x 1g.24gb-me"),
    ],
)
def test_devices_that_do_not_fit_are_an_error_that_names_devices_that_fit(
    model: str, devices: dict[str, int], fits: str
) -> None:
    with pytest.raises(MigError) as error:
        plan_gpu(mig_gpu(model), DesiredGpu(is_enabled=True, devices=devices))
    assert error.value.hint == f"These would fit: {fits}"


@pytest.mark.parametrize("model", PROFILES)
def test_as_many_devices_as_nvml_reports_fit(model: str) -> None:
    for profile in PROFILES[model]:
        desired = DesiredGpu(is_enabled=True, devices={profile.name: profile.max_count})
        assert device_counts(apply_plan(plan_gpu(mig_gpu(model), desired))) == desired.devices


def test_a_profile_that_the_driver_no_longer_lists_is_destroyed() -> None:
    unknown = GpuInstance(id=1, profile=99, placement=Placement(start=0, size=8))
    plan = plan_gpu(mig_gpu(H100, unknown), DesiredGpu(is_enabled=True, devices={"1g.10gb": 1}))
    assert plan.destroy == (unknown,)


def test_present_instances_beyond_the_requested_ones_do_not_hide_devices_that_fit() -> None:
    with pytest.raises(MigError) as error:
        plan_gpu(mig_gpu(H100, instance(1, "1g.10gb", 5)), DesiredGpu(is_enabled=True, devices={"4g.40gb": 2}))
    assert error.value.hint == "These would fit: 1x 4g.40gb"
