import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device
from dra_driver.devices.retain import retain_lost
from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from tests.dra_driver.devices.gpus import gpu, inventory


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
