"""Devices that can no longer be read remain advertised as unhealthy."""

import pytest

from device_plugin.devices import Plan
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.plan.withhold import global_cause, withhold
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.inventory import Fault, GpuUuid, MigDevice
from gpu_core.domain.selection import DeviceForm, DeviceRef
from node_core.values import replace
from tests.device_plugin.plan.plans import MIXED, NONE, SINGLE, MakeGpu, ids, inventory


def health(plan: Plan) -> dict[str, bool]:
    return {device.id: device.is_healthy for offer in plan.resources.values() for device in offer.devices}


@pytest.mark.parametrize(
    "fault",
    [Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost"), Fault(index=1, uuid=None, reason="lost"),
     Fault(index=7, uuid=None, reason="lost")],
    ids=["with its UUID", "with its index", "with an index that NVML renumbered"],
)  # fmt: skip
def test_an_unreadable_gpu_is_unhealthy_until_it_is_readable(gpu: MakeGpu, fault: Fault) -> None:
    all_three = inventory(gpu(0), gpu(1), gpu(2))
    known = plan_devices(all_three, NONE)
    failed = plan_devices(inventory(gpu(0), gpu(2), faults=(fault,)), NONE, known=known)
    assert health(failed) == {"GPU-0": True, "GPU-1": False, "GPU-2": True}
    assert next(iter(failed.resources.values())).devices[1].why_unhealthy == "lost"
    again = plan_devices(inventory(gpu(0), gpu(2), faults=(fault,)), NONE, known=failed)
    assert again == failed
    assert plan_devices(all_three, NONE, known=again) == known


def test_two_faults_without_a_uuid_are_attributed_to_two_gpus(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1), gpu(2)), NONE)
    faults = (Fault(index=0, uuid=None, reason="a"), Fault(index=1, uuid=None, reason="b"))
    failed = plan_devices(inventory(replace(gpu(2), index=2), faults=faults), NONE, known=known)
    assert {device.id: device.why_unhealthy for device in next(iter(failed.resources.values())).devices} == {
        "GPU-0": "a", "GPU-1": "b", "GPU-2": None,
    }  # fmt: skip


def test_a_gpu_that_is_missing_without_a_fault_is_dropped(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1)), NONE)
    assert ids(plan_devices(inventory(gpu(0)), NONE, known=known)) == {"nvidia.com/gpu": ["GPU-0"]}


def test_the_mig_devices_of_an_unreadable_gpu_are_unhealthy(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"]), gpu(1, ["1g.10gb"] * 2)), MIXED)
    fault = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost")
    failed = plan_devices(inventory(gpu(0, ["1g.10gb"]), faults=(fault,)), MIXED, known=known)
    assert health(failed) == {"MIG-0-0": True, "MIG-1-0": False, "MIG-1-1": False}
    single = plan_devices(inventory(gpu(0, ["1g.10gb"]), faults=(fault,)), SINGLE, known=known)
    assert health(single)["MIG-0-0"]


def test_an_unreadable_mig_device_does_not_affect_the_others(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"] * 3), gpu(1, ["1g.10gb"] * 3)), MIXED)
    half = inventory(gpu(0, ["1g.10gb"] * 2, broken=[2]), gpu(1, ["1g.10gb"] * 2))
    failed = plan_devices(half, MIXED, known=known)
    assert health(failed) == {"MIG-0-0": True, "MIG-0-1": True, "MIG-0-2": False, "MIG-1-0": True, "MIG-1-1": True}
    assert "MIG device 0:2 of GPU 0 (GPU-0) cannot be read" in failed.notes[0]


def test_a_mig_device_that_moved_to_another_slot_is_not_lost(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0, ["1g.10gb"] * 3)), MIXED)
    moved = replace(known_slices(gpu)[2], slot=1)
    now = replace(gpu(0, ["1g.10gb"], broken=[2]), mig_devices=(known_slices(gpu)[0], moved))
    assert health(plan_devices(inventory(now), MIXED, known=known)) == {"MIG-0-0": True, "MIG-0-2": True}


def known_slices(gpu: MakeGpu) -> tuple[MigDevice, ...]:
    return gpu(0, ["1g.10gb"] * 3).mig_devices


def test_if_no_gpu_can_be_read_all_devices_are_unhealthy(gpu: MakeGpu) -> None:
    known = plan_devices(inventory(gpu(0), gpu(1)), NONE)
    failed = withhold(known, [global_cause("NVML returned TIMEOUT")])
    assert health(failed) == {"GPU-0": False, "GPU-1": False}
    assert plan_devices(inventory(gpu(0), gpu(1)), NONE, known=failed) == known


def test_reserved_devices_can_be_lost_and_return(gpu: MakeGpu) -> None:
    options = PlanOptions(rules=DeviceRules(exclude=(DeviceRef(form=DeviceForm.GPU_INDEX, text="1"),)))
    known = plan_devices(inventory(gpu(0), gpu(1)), options)
    lost = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="lost")
    failed = plan_devices(inventory(gpu(0), faults=(lost,)), options, known=known)
    assert [(each.device.id, each.device.why_unhealthy) for each in failed.reserved] == [("GPU-1", "lost")]
    freed = plan_devices(inventory(gpu(0), faults=(lost,)), NONE, known=failed)
    assert health(freed) == {"GPU-0": True, "GPU-1": False}
    assert plan_devices(inventory(gpu(0), gpu(1)), options, known=freed) == known
