"""The fields of ResourceSlices, and the slices that a scheduler uses."""

import msgspec

from gpu_core.pods.resource_slices import Pool, ResourceSlice, SliceDevice, SliceSpec, select_current


def slice_(pool: str, generation: int) -> ResourceSlice:
    return ResourceSlice(spec=SliceSpec(pool=Pool(name=pool, generation=generation)))


def test_a_scheduler_uses_the_newest_generation_of_each_pool() -> None:
    old, new, other = slice_("a", 1), slice_("a", 2), slice_("b", 1)
    assert select_current([new, old, other, new]) == [new, other, new]


def test_texts_have_no_domain_of_the_driver_and_omit_other_values() -> None:
    attributes = {
        "gpu.nvidia.com/type": {"string": "gpu"},
        "uuid": {"string": "GPU-1"},
        "example.com/uuid": {"string": "x"},
        "driverVersion": {"version": "1.0.0"},
        "index": {"int": 1},
    }
    device = msgspec.convert({"name": "gpu-0", "basic": {"attributes": attributes}}, SliceDevice)
    assert device.content.texts == {"type": "gpu", "uuid": "GPU-1", "example.com/uuid": "x"}


def test_a_taint_without_an_effect_keeps_no_pod_away() -> None:
    taints = [{"key": "a", "effect": "None"}, {"key": "b", "effect": "NoSchedule"}]
    device = msgspec.convert({"name": "gpu-0", "taints": taints}, SliceDevice)
    assert [each.key for each in device.content.effective_taints] == ["b"]
