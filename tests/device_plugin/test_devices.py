"""The order of devices."""

from device_plugin.devices import Device, DeviceId, sort_devices
from gpu_core.domain.inventory import GpuUuid


def device(index: str, replica: int | None = None) -> Device:
    id_ = index if replica is None else f"{index}::{replica}"
    return Device(id=DeviceId(id_), uuid=index, index=index, gpu=GpuUuid("GPU"), replica=replica)


def test_devices_are_sorted_by_gpu_slot_and_replica_as_numbers() -> None:
    devices = [device("10"), device("2", 10), device("2", 9), device("1:12"), device("1:3"), device("0")]
    assert [each.id for each in sort_devices(devices)] == ["0", "1:3", "1:12", "2::9", "2::10", "10"]
