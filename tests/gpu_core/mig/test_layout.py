"""The present layout, what could still be created, and the layout as a config."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gpu_core.mig.config import ConfigEntry
from gpu_core.mig.layout import count_addable, count_devices, export_config, list_free_slices
from gpu_core.mig.planner import plan_gpu
from gpu_core.mig.select import select_layouts
from tests.gpu_core.mig.boards import H100, PROFILES, instance, mig_gpu
from tests.gpu_core.mig.brute_force import is_possible
from tests.gpu_core.mig.layouts import gpus

MIXED = (instance(1, "3g.40gb", 4, "1c.3g.40gb", "1c.3g.40gb"), instance(2, "1g.10gb", 0), instance(3, "1g.10gb", 1))


def test_devices_are_counted_by_name() -> None:
    assert count_devices(mig_gpu(H100, *MIXED)) == {"1g.10gb": 2, "1c.3g.40gb": 2}


def test_gpus_with_equal_layouts_share_an_entry() -> None:
    gpus = [mig_gpu(H100), mig_gpu(H100, *MIXED, index=1), mig_gpu(H100, index=2), mig_gpu(enabled=False, index=3)]
    assert export_config(gpus) == {
        "current": (
            ConfigEntry(devices=(0, 2), is_enabled=True),
            ConfigEntry(devices=(1,), is_enabled=True, mig_devices={"1g.10gb": 2, "1c.3g.40gb": 2}),
            ConfigEntry(devices=(3,), is_enabled=False),
        )
    }


def test_one_layout_is_an_entry_for_all_gpus() -> None:
    assert export_config([mig_gpu(), mig_gpu(index=1)]) == {"current": (ConfigEntry(is_enabled=True),)}


def test_an_exported_config_requires_no_change() -> None:
    gpus = [mig_gpu(H100, *MIXED), mig_gpu(index=1, enabled=False)]
    desired = select_layouts(export_config(gpus), "current", gpus)
    assert all(plan_gpu(gpu, desired[gpu.uuid]).is_empty for gpu in gpus)


def test_the_room_of_an_empty_gpu_is_the_highest_count_of_each_profile() -> None:
    for model, profiles in PROFILES.items():
        assert count_addable(mig_gpu(model)) == {profile.name: profile.max_count for profile in profiles}


def test_free_slices_are_those_of_the_memory() -> None:
    assert list_free_slices(mig_gpu(H100, *MIXED)) == (2, 3)
    assert list_free_slices(mig_gpu(H100, instance(1, "7g.80gb", 0))) == ()


@given(st.data())
def test_as_many_instances_as_there_is_room_for_can_be_created_and_not_one_more(data: st.DataObject) -> None:
    gpu = data.draw(gpus())
    profile = data.draw(st.sampled_from(gpu.profiles))
    present = [(found, each.placement) for each in gpu.instances if (found := gpu.profile(each.profile))]
    count = count_addable(gpu).get(profile.name, 0)
    for number in (count, count + 1):
        choices = itertools.combinations(profile.placements, number)
        created = ([(profile, place) for place in places] for places in choices)
        assert any(is_possible(gpu, [*present, *new]) for new in created) is (number == count)
