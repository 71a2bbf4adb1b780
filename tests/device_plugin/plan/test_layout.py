"""The resources of devices by MIG strategy."""

import pytest

from device_plugin.devices import Plan
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import MigStrategy, PlanOptions
from tests.device_plugin.plan.plans import MIXED, NONE, SINGLE, MakeGpu, ids, inventory


def reserved_reasons(plan: Plan) -> dict[str, str]:
    return {each.device.id: each.why for each in plan.reserved}


@pytest.mark.parametrize("strategy", ["none", "single", "mixed"])
def test_whole_gpus_are_advertised_as_nvidia_com_gpu(gpu: MakeGpu, strategy: MigStrategy) -> None:
    plan = plan_devices(inventory(gpu(0), gpu(1, numa=1)), PlanOptions(mig_strategy=strategy))
    assert ids(plan) == {"nvidia.com/gpu": ["GPU-0", "GPU-1"]}
    assert plan.notes == ()
    device = next(iter(plan.resources.values())).devices[1]
    assert (device.index, device.gpu, device.numa_node, device.paths) == ("1", "GPU-1", 1, ("/dev/nvidia1",))


def test_strategy_none_does_not_advertise_gpus_in_mig_mode(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"]), gpu(1, []), gpu(2)), NONE)
    assert ids(plan) == {"nvidia.com/gpu": ["GPU-2"]}
    (note,) = plan.notes
    assert note.startswith(
        "GPUs in MIG mode are not advertised, because the MIG strategy is `none`: GPU 0 (GPU-0), GPU 1 (GPU-1). Set"
    )
    assert reserved_reasons(plan) == {"MIG-0-0": "the MIG strategy `none` does not advertise MIG devices"}


def test_strategy_single_advertises_equal_mig_devices_as_nvidia_com_gpu(gpu: MakeGpu) -> None:
    plan = plan_devices(inventory(gpu(0, ["1g.10gb"] * 2), gpu(1, ["1g.10gb"])), SINGLE)
    assert ids(plan) == {"nvidia.com/gpu": ["MIG-0-0", "MIG-0-1", "MIG-1-0"]}
    assert [device.index for device in next(iter(plan.resources.values())).devices] == ["0:0", "0:1", "1:0"]


def test_an_invalid_layout_for_strategy_single_is_reported_and_recovers_without_action(gpu: MakeGpu) -> None:
    layouts = {
        "GPUs in MIG mode have no MIG devices: GPU 1 (GPU-1)": inventory(gpu(0, ["1g.10gb"]), gpu(1, [])),
        "only some GPUs are in MIG mode": inventory(gpu(0, ["1g.10gb"]), gpu(1)),
        "2 profiles, 1g.10gb, 2g.20gb": inventory(gpu(0, ["1g.10gb"]), gpu(1, ["2g.20gb"])),
        "profile of a MIG device is unknown": inventory(gpu(0, [None, None])),
    }
    for why, layout in layouts.items():
        plan = plan_devices(layout, SINGLE)
        assert plan.resources == {}
        assert len(plan.notes) == 1
        assert why in plan.notes[0]
        assert all(why in reason for reason in reserved_reasons(plan).values())
        healed = plan_devices(inventory(gpu(0, ["1g.10gb"])), SINGLE, known=plan)
        assert ids(healed) == {"nvidia.com/gpu": ["MIG-0-0"]}


def test_strategy_mixed_advertises_a_resource_for_each_profile(gpu: MakeGpu) -> None:
    layout = inventory(gpu(0), gpu(1, ["1g.10gb+me", "3g.40gb", "1c.3g.40gb", None]), gpu(2, []))
    plan = plan_devices(layout, MIXED)
    assert ids(plan) == {
        "nvidia.com/gpu": ["GPU-0"],
        "nvidia.com/mig-1c.3g.40gb": ["MIG-1-2"],
        "nvidia.com/mig-1g.10gb.me": ["MIG-1-0"],
        "nvidia.com/mig-3g.40gb": ["MIG-1-1"],
    }
    assert plan.notes == ("GPU 2 (GPU-2) is in MIG mode but has no MIG devices, so nothing is advertised for it.",)
    assert reserved_reasons(plan) == {"MIG-1-3": "the profile of MIG device 1:3 is unknown"}
