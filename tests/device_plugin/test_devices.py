"""Which devices are advertised in every layout, and what happens to those that fail."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from device_plugin.devices import MigStrategy, Plan, fail_devices, plan_devices
from node_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory

DRIVER = Driver(version="550.54.15", cuda=None)
MakeGpu = Callable[..., Gpu]


def inventory(*gpus: Gpu, faults: tuple[Fault, ...] = ()) -> Inventory:
    return Inventory(driver=DRIVER, gpus=gpus, faults=faults)


def ids(plan: Plan) -> dict[str, list[str]]:
    return {resource: [device.id for device in devices] for resource, devices in plan.resources.items()}


def health(plan: Plan) -> dict[str, bool]:
    return {device.id: device.healthy for devices in plan.resources.values() for device in devices}


@pytest.mark.parametrize("strategy", ["none", "single", "mixed"])
def test_whole_gpus_are_nvidia_com_gpu(gpu: MakeGpu, strategy: MigStrategy) -> None:
    plan = plan_devices(inventory(gpu(0), gpu(1, numa=1)), mig_strategy=strategy)
    assert ids(plan) == {"nvidia.com/gpu": ["GPU-0", "GPU-1"]}
    assert plan.notes == ()
    device = plan.resources[next(iter(plan.resources))][1]
    assert (device.index, device.gpu, device.numa_node, device.paths) == ("1", "GPU-1", 1, ("/dev/nvidia1",))


def test_with_none_a_gpu_with_mig_is_still_one_gpu_and_a_note_says_so(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"])), mig_strategy="none")
    assert ids(plan) == {"nvidia.com/gpu": ["GPU-0"]}
    assert "MIG enabled" in plan.notes[0]


def test_with_single_equal_mig_devices_are_nvidia_com_gpu(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"] * 2), gpu(1, ["1g.10gb"])), mig_strategy="single")
    assert ids(plan) == {"nvidia.com/gpu": ["MIG-0-0", "MIG-0-1", "MIG-1-0"]}
    assert [device.index for device in plan.resources[next(iter(plan.resources))]] == ["0:0", "0:1", "1:0"]


def test_with_single_an_unsound_layout_is_explained_and_heals_by_itself(gpu: MakeGpu) -> None:
    layouts = {
        "no devices on GPU 1": inventory(gpu(0, ["1g.10gb"]), gpu(1, [])),
        "some GPUs only": inventory(gpu(0, ["1g.10gb"]), gpu(1)),
        "2 kinds, 1g.10gb, 2g.20gb": inventory(gpu(0, ["1g.10gb"]), gpu(1, ["2g.20gb"])),
    }
    for why, layout in layouts.items():
        plan = plan_devices(layout, mig_strategy="single")
        assert plan.resources == {}
        assert len(plan.notes) == 1
        assert why in plan.notes[0]
        healed = plan_devices(inventory(gpu(0, ["1g.10gb"])), mig_strategy="single", known=plan)
        assert ids(healed) == {"nvidia.com/gpu": ["MIG-0-0"]}


def test_with_mixed_each_profile_is_a_resource_and_the_rest_is_noted(gpu: MakeGpu) -> None:
    layout = inventory(gpu(0), gpu(1, ["1g.10gb+me", "3g.40gb", "1c.3g.40gb", None]), gpu(2, []))
    plan = plan_devices(layout, mig_strategy="mixed")
    assert ids(plan) == {
        "nvidia.com/gpu": ["GPU-0"],
        "nvidia.com/mig-1c.3g.40gb": ["MIG-1-2"],
        "nvidia.com/mig-1g.10gb.me": ["MIG-1-0"],
        "nvidia.com/mig-3g.40gb": ["MIG-1-1"],
    }
    assert len(plan.notes) == 2


def test_no_gpus_is_no_resources_and_why() -> None:
    plan = plan_devices(Inventory(driver=None, why_empty="no NVIDIA driver"), mig_strategy="single")
    assert (plan.resources, plan.notes) == ({}, ("No GPUs: no NVIDIA driver.",))


@pytest.mark.parametrize(
    "fault",
    [Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost"), Fault(index=1, uuid=None, reason="lost"),
     Fault(index=7, uuid=None, reason="lost")],
    ids=["with its UUID", "with its index", "with an index that NVML counted anew"],
)  # fmt: skip
def test_a_gpu_that_fails_stays_unhealthy_and_comes_back(gpu: MakeGpu, fault: Fault) -> None:
    all_three = inventory(gpu(0), gpu(1), gpu(2))
    known = plan_devices(all_three, mig_strategy="none")
    failed = plan_devices(inventory(gpu(0), gpu(2), faults=(fault,)), mig_strategy="none", known=known)
    assert health(failed) == {"GPU-0": True, "GPU-1": False, "GPU-2": True}
    assert failed.resources[next(iter(failed.resources))][1].why_unhealthy == "lost"
    again = plan_devices(inventory(gpu(0), gpu(2), faults=(fault,)), mig_strategy="none", known=failed)
    assert again == failed
    assert plan_devices(all_three, mig_strategy="none", known=again) == known


def test_two_gpus_that_fail_without_a_name_are_both_kept(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1), gpu(2)), mig_strategy="none")
    faults = (Fault(index=0, uuid=None, reason="a"), Fault(index=1, uuid=None, reason="b"))
    failed = plan_devices(inventory(replace(gpu(2), index=2), faults=faults), mig_strategy="none", known=known)
    assert {device.id: device.why_unhealthy for device in failed.resources[next(iter(failed.resources))]} == {
        "GPU-0": "a", "GPU-1": "b", "GPU-2": None,
    }  # fmt: skip


def test_a_gpu_that_is_gone_without_a_fault_is_dropped(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1)), mig_strategy="none")
    assert ids(plan_devices(inventory(gpu(0)), mig_strategy="none", known=known)) == {"nvidia.com/gpu": ["GPU-0"]}


def test_the_slices_of_a_gpu_that_fails_fail_with_it(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"]), gpu(1, ["1g.10gb"] * 2)), mig_strategy="mixed")
    fault = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost")
    failed = plan_devices(inventory(gpu(0, ["1g.10gb"]), faults=(fault,)), mig_strategy="mixed", known=known)
    assert health(failed) == {"MIG-0-0": True, "MIG-1-0": False, "MIG-1-1": False}
    single = plan_devices(inventory(gpu(0, ["1g.10gb"]), faults=(fault,)), mig_strategy="single", known=known)
    assert health(single)["MIG-0-0"]


def test_one_slice_that_fails_does_not_take_its_siblings_along(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"] * 3), gpu(1, ["1g.10gb"] * 3)), mig_strategy="mixed")
    half = inventory(gpu(0, ["1g.10gb"] * 2, broken=[2]), gpu(1, ["1g.10gb"] * 2))
    failed = plan_devices(half, mig_strategy="mixed", known=known)
    assert health(failed) == {"MIG-0-0": True, "MIG-0-1": True, "MIG-0-2": False, "MIG-1-0": True, "MIG-1-1": True}
    assert "0:2 cannot be read" in failed.notes[0]


def test_a_new_mig_layout_replaces_the_old_one(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0)), mig_strategy="mixed")
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"] * 2)), mig_strategy="mixed", known=known)
    assert ids(plan) == {"nvidia.com/mig-1g.10gb": ["MIG-0-0", "MIG-0-1"]}


def test_when_nothing_can_be_read_all_are_unhealthy(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1)), mig_strategy="none")
    failed = fail_devices(known, "NVML answered TIMEOUT")
    assert health(failed) == {"GPU-0": False, "GPU-1": False}
    assert plan_devices(inventory(gpu(0), gpu(1)), mig_strategy="none", known=failed) == known


def test_devices_are_in_the_order_of_numbers_not_of_text(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(*(gpu(index) for index in reversed(range(12)))), mig_strategy="none")
    assert ids(plan) == {"nvidia.com/gpu": [f"GPU-{index}" for index in range(12)]}
