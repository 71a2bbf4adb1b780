import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device
from dra_driver.devices.retain import NOT_FOUND, retain_lost, with_lost
from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from node_core.values import replace
from tests.dra_driver.devices.gpus import gpu, inventory, mig_device, mig_of
from tests.gpu_core.mig.boards import instance


def by_name(found: Inventory) -> dict[str, Device]:
    return {device.name: device for device in devices_of(found)}


BEFORE = by_name(inventory(gpu(0), gpu(1), gpu(2)))


@pytest.mark.parametrize("uuid", [GpuUuid("GPU-0"), None])
def test_a_gpu_that_cannot_be_read_keeps_its_device_and_its_place(uuid: GpuUuid | None) -> None:
    found = inventory(gpu(1), gpu(2), faults=(Fault(index=0, uuid=uuid, reason="GPU_IS_LOST"),))
    assert list(retain_lost(BEFORE, by_name(found), found)) == ["gpu-0", "gpu-1", "gpu-2"]


def test_a_gpu_that_was_removed_has_no_device() -> None:
    found = inventory(gpu(1), gpu(2))
    assert list(retain_lost(BEFORE, by_name(found), found)) == ["gpu-1", "gpu-2"]


def test_a_fault_of_another_gpu_retains_nothing() -> None:
    found = inventory(gpu(1), faults=(Fault(index=2, uuid=GpuUuid("GPU-2"), reason="UNKNOWN"),))
    assert list(retain_lost(BEFORE, by_name(found), found)) == ["gpu-1", "gpu-2"]


def test_a_gpu_that_is_read_again_has_its_new_device() -> None:
    found = inventory(gpu(0, model="new"), gpu(1), gpu(2), faults=(Fault(index=3, uuid=None, reason="UNKNOWN"),))
    retained = retain_lost(BEFORE, by_name(found), found)
    assert retained["gpu-0"].attributes["productName"] == "new"
    assert len(retained) == 3


def test_a_gpu_whose_mig_layout_cannot_be_read_keeps_its_devices_and_counters() -> None:
    found = inventory(gpu(0), gpu(1))
    migs = [mig_of(gpu(0)), mig_of(gpu(1))]
    before = {each.name: each for each in devices_of(found, migs, has_dynamic_mig=True)}
    now = {each.name: each for each in devices_of(found, migs[1:], has_dynamic_mig=True)}
    assert now["gpu-0"].counter_set is None
    assert retain_lost(before, now, found, migs[1:]) == before


def test_existing_mig_devices_stay_while_their_layout_cannot_be_read_and_not_after_the_end_of_the_mig_mode() -> None:
    divided = gpu(0, mig_enabled=True, mig_devices=(mig_device(1, "3g.40gb", 4),))
    mig = replace(mig_of(divided), instances=(instance(1, "3g.40gb", 4),))
    before = {each.name: each for each in devices_of(inventory(divided), [mig])}
    assert list(before) == ["gpu-0-mig-3g40gb-98-4"]
    assert retain_lost(before, {}, inventory(divided), ()) == before
    whole = by_name(inventory(gpu(0)))
    assert retain_lost(before, whole, inventory(gpu(0)), ()) == whole


HELD = GpuUuid("GPU-0")


@pytest.mark.parametrize(
    ("held", "expected"),
    [((HELD,), ["gpu-0", "gpu-1"]), (None, ["gpu-0", "gpu-1", "gpu-2"])],
    ids=["held", "unknown"],
)
def test_a_gpu_that_is_missing_has_devices_while_a_claim_holds_one(
    held: tuple[GpuUuid, ...] | None, expected: list[str]
) -> None:
    found = inventory(gpu(1))
    assert list(retain_lost(BEFORE, by_name(found), found, held=held)) == expected


def test_a_lost_gpu_whose_name_another_gpu_has_now_has_no_devices() -> None:
    other = inventory(gpu(0, uuid=GpuUuid("GPU-9"), mig_capable=False))
    before = {each.name: each for each in devices_of(inventory(gpu(0)), [mig_of(gpu(0))], has_dynamic_mig=True)}
    assert list(retain_lost(before, by_name(other), other, held=(HELD,))) == ["gpu-0"]


def test_each_missing_gpu_with_devices_has_one_fault() -> None:
    fault = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="GPU_IS_LOST")
    found = with_lost(inventory(gpu(2), faults=(fault,)), BEFORE)
    assert found.faults == (fault, Fault(index=0, uuid=HELD, reason=NOT_FOUND))
