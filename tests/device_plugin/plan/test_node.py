"""Which devices are advertised in every layout, and what happens to those that fail."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from device_plugin.devices import Plan
from device_plugin.plan.node import fail_devices, plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from node_core.domain.device_rules import DeviceRules
from node_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory, MigDevice, Platform
from node_core.domain.resources import GPU, mig_resource
from node_core.domain.selection import DeviceForm, DeviceRef
from node_core.host.mig_caps import MigCaps

NONE, SINGLE, MIXED = (PlanOptions(mig_strategy=strategy) for strategy in ("none", "single", "mixed"))
DRIVER = Driver(version="550.54.15", cuda=None)
MakeGpu = Callable[..., Gpu]
CAPS = {"gpu0/gi0/access": 3, "gpu0/gi0/ci0/access": 4, "gpu1/gi1/access": 5, "config": 1}


def inventory(*gpus: Gpu, faults: tuple[Fault, ...] = ()) -> Inventory:
    return Inventory(driver=DRIVER, gpus=gpus, faults=faults)


def ids(plan: Plan) -> dict[str, list[str]]:
    return {resource: [device.id for device in offer.devices] for resource, offer in plan.resources.items()}


def kept_back(plan: Plan) -> dict[str, str]:
    return {each.device.id: each.why for each in plan.reserved}


def health(plan: Plan) -> dict[str, bool]:
    return {device.id: device.healthy for offer in plan.resources.values() for device in offer.devices}


@pytest.mark.parametrize("strategy", ["none", "single", "mixed"])
def test_whole_gpus_are_nvidia_com_gpu(gpu: MakeGpu, strategy: MigStrategy) -> None:
    plan = plan_devices(inventory(gpu(0), gpu(1, numa=1)), PlanOptions(mig_strategy=strategy))
    assert ids(plan) == {"nvidia.com/gpu": ["GPU-0", "GPU-1"]}
    assert plan.notes == ()
    device = next(iter(plan.resources.values())).devices[1]
    assert (device.index, device.gpu, device.numa_node, device.paths) == ("1", "GPU-1", 1, ("/dev/nvidia1",))


def test_with_none_a_gpu_in_mig_mode_is_no_gpu_and_a_note_says_so(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"]), gpu(1, []), gpu(2)), NONE)
    assert ids(plan) == {"nvidia.com/gpu": ["GPU-2"]}
    assert plan.notes == (
        "GPU 0, 1: in MIG mode and not advertised; set the MIG strategy to single or mixed, or MIG mode off.",
    )
    assert kept_back(plan) == {"MIG-0-0": "MIG devices are not advertised with MIG strategy none"}


def test_with_single_equal_mig_devices_are_nvidia_com_gpu(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"] * 2), gpu(1, ["1g.10gb"])), SINGLE)
    assert ids(plan) == {"nvidia.com/gpu": ["MIG-0-0", "MIG-0-1", "MIG-1-0"]}
    assert [device.index for device in next(iter(plan.resources.values())).devices] == ["0:0", "0:1", "1:0"]


def test_with_single_an_unsound_layout_is_explained_and_heals_by_itself(gpu: MakeGpu) -> None:
    layouts = {
        "no devices on GPU 1": inventory(gpu(0, ["1g.10gb"]), gpu(1, [])),
        "some GPUs only": inventory(gpu(0, ["1g.10gb"]), gpu(1)),
        "2 kinds, 1g.10gb, 2g.20gb": inventory(gpu(0, ["1g.10gb"]), gpu(1, ["2g.20gb"])),
        "no known name": inventory(gpu(0, [None, None])),
    }
    for why, layout in layouts.items():
        plan = plan_devices(layout, SINGLE)
        assert plan.resources == {}
        assert len(plan.notes) == 1
        assert why in plan.notes[0]
        assert all(why in reason for reason in kept_back(plan).values())
        healed = plan_devices(inventory(gpu(0, ["1g.10gb"])), SINGLE, known=plan)
        assert ids(healed) == {"nvidia.com/gpu": ["MIG-0-0"]}


def test_with_mixed_each_profile_is_a_resource_and_the_rest_is_noted(gpu: MakeGpu) -> None:
    layout = inventory(gpu(0), gpu(1, ["1g.10gb+me", "3g.40gb", "1c.3g.40gb", None]), gpu(2, []))
    plan = plan_devices(layout, MIXED)
    assert ids(plan) == {
        "nvidia.com/gpu": ["GPU-0"],
        "nvidia.com/mig-1c.3g.40gb": ["MIG-1-2"],
        "nvidia.com/mig-1g.10gb.me": ["MIG-1-0"],
        "nvidia.com/mig-3g.40gb": ["MIG-1-1"],
    }
    assert plan.notes == ("GPU 2 has MIG enabled but no MIG devices: nothing of it is advertised.",)
    assert kept_back(plan) == {"MIG-1-3": "the profile of MIG device 1:3 has no known name"}


def test_no_gpus_is_no_resources_and_why() -> None:
    plan = plan_devices(Inventory(driver=None, why_empty="no NVIDIA driver"), SINGLE)
    assert (plan.resources, plan.notes) == ({}, ("No GPUs: no NVIDIA driver.",))


@pytest.mark.parametrize(
    "fault",
    [Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost"), Fault(index=1, uuid=None, reason="lost"),
     Fault(index=7, uuid=None, reason="lost")],
    ids=["with its UUID", "with its index", "with an index that NVML counted anew"],
)  # fmt: skip
def test_a_gpu_that_fails_stays_unhealthy_and_comes_back(gpu: MakeGpu, fault: Fault) -> None:
    all_three = inventory(gpu(0), gpu(1), gpu(2))
    known = plan_devices(all_three, NONE)
    failed = plan_devices(inventory(gpu(0), gpu(2), faults=(fault,)), NONE, known=known)
    assert health(failed) == {"GPU-0": True, "GPU-1": False, "GPU-2": True}
    assert next(iter(failed.resources.values())).devices[1].why_unhealthy == "lost"
    again = plan_devices(inventory(gpu(0), gpu(2), faults=(fault,)), NONE, known=failed)
    assert again == failed
    assert plan_devices(all_three, NONE, known=again) == known


def test_two_gpus_that_fail_without_a_name_are_both_kept(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1), gpu(2)), NONE)
    faults = (Fault(index=0, uuid=None, reason="a"), Fault(index=1, uuid=None, reason="b"))
    failed = plan_devices(inventory(replace(gpu(2), index=2), faults=faults), NONE, known=known)
    assert {device.id: device.why_unhealthy for device in next(iter(failed.resources.values())).devices} == {
        "GPU-0": "a", "GPU-1": "b", "GPU-2": None,
    }  # fmt: skip


def test_a_gpu_that_is_gone_without_a_fault_is_dropped(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1)), NONE)
    assert ids(plan_devices(inventory(gpu(0)), NONE, known=known)) == {"nvidia.com/gpu": ["GPU-0"]}


def test_the_slices_of_a_gpu_that_fails_fail_with_it(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"]), gpu(1, ["1g.10gb"] * 2)), MIXED)
    fault = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost")
    failed = plan_devices(inventory(gpu(0, ["1g.10gb"]), faults=(fault,)), MIXED, known=known)
    assert health(failed) == {"MIG-0-0": True, "MIG-1-0": False, "MIG-1-1": False}
    single = plan_devices(inventory(gpu(0, ["1g.10gb"]), faults=(fault,)), SINGLE, known=known)
    assert health(single)["MIG-0-0"]


def test_one_slice_that_fails_does_not_take_its_siblings_along(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"] * 3), gpu(1, ["1g.10gb"] * 3)), MIXED)
    half = inventory(gpu(0, ["1g.10gb"] * 2, broken=[2]), gpu(1, ["1g.10gb"] * 2))
    failed = plan_devices(half, MIXED, known=known)
    assert health(failed) == {"MIG-0-0": True, "MIG-0-1": True, "MIG-0-2": False, "MIG-1-0": True, "MIG-1-1": True}
    assert "0:2 cannot be read" in failed.notes[0]


def test_a_slice_that_reads_well_in_another_slot_is_not_lost(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"] * 3)), MIXED)
    moved = replace(known_slices(gpu)[2], slot=1)
    now = replace(gpu(0, ["1g.10gb"], broken=[2]), mig_devices=(known_slices(gpu)[0], moved))
    assert health(plan_devices(inventory(now), MIXED, known=known)) == {"MIG-0-0": True, "MIG-0-2": True}


def known_slices(gpu: MakeGpu) -> tuple[MigDevice, ...]:
    return gpu(0, ["1g.10gb"] * 3).mig_devices


def test_a_new_mig_layout_replaces_the_old_one(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0)), MIXED)
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"] * 2)), MIXED, known=known)
    assert ids(plan) == {"nvidia.com/mig-1g.10gb": ["MIG-0-0", "MIG-0-1"]}


def test_when_nothing_can_be_read_all_are_unhealthy(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1)), NONE)
    failed = fail_devices(known, "NVML answered TIMEOUT")
    assert health(failed) == {"GPU-0": False, "GPU-1": False}
    assert plan_devices(inventory(gpu(0), gpu(1)), NONE, known=failed) == known


def test_devices_are_in_the_order_of_numbers_not_of_text(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(*(gpu(index) for index in reversed(range(12)))), NONE)
    assert ids(plan) == {"nvidia.com/gpu": [f"GPU-{index}" for index in range(12)]}


def test_a_mig_device_is_told_apart_from_its_gpu(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb", "1g.10gb"])), MIXED, caps=MigCaps(minors=CAPS))
    first, second = plan.resources[mig_resource("1g.10gb")].devices
    assert (first.uuid, first.gpu, first.minor, first.index, first.replica) == ("MIG-0-0", "GPU-0", 0, "0:0", None)
    assert (second.gpu_instance, second.compute_instance, second.profile) == (1, 0, "1g.10gb")
    assert first.model == second.model == "NVIDIA H100 80GB HBM3"
    assert first.paths == ("/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap3", "/dev/nvidia-caps/nvidia-cap4")
    assert second.paths == ("/dev/nvidia0",)


@pytest.mark.parametrize("strategy", ["none", "single", "mixed"])
@pytest.mark.parametrize(
    ("platform", "name", "index", "paths"),
    [(Platform.WSL, "all", "all", ("/dev/dxg",)), (Platform.TEGRA, "tegra", "0", ())],
)
def test_where_gpus_cannot_be_told_apart_they_are_one_device(
    gpu: MakeGpu, strategy: MigStrategy, platform: Platform, name: str, index: str, paths: tuple[str, ...]
) -> None:
    several = replace(inventory(gpu(0), gpu(1)), platform=platform)
    (device,) = plan_devices(several, PlanOptions(mig_strategy=strategy)).resources[GPU].devices
    assert (device.id, device.uuid, device.index, device.paths) == (name, name, index, paths)


def test_devices_that_are_kept_back_fail_and_come_back_too(gpu: MakeGpu) -> None:
    options = PlanOptions(rules=DeviceRules(exclude=(DeviceRef(form=DeviceForm.GPU_INDEX, text="1"),)))
    known = plan_devices(inventory(gpu(0), gpu(1)), options)
    lost = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost")
    failed = plan_devices(inventory(gpu(0), faults=(lost,)), options, known=known)
    assert [(each.device.id, each.device.why_unhealthy) for each in failed.reserved] == [("GPU-1", "lost")]
    freed = plan_devices(inventory(gpu(0), faults=(lost,)), NONE, known=failed)
    assert health(freed) == {"GPU-0": True, "GPU-1": False}
    assert plan_devices(inventory(gpu(0), gpu(1)), options, known=freed) == known
