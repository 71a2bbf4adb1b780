"""Retains the devices of GPUs that a discovery could not read: an error removes no device. Their taints state that they are lost."""

from collections.abc import Collection, Iterable, Mapping

from dra_driver.devices.model import Device, DeviceKind
from dra_driver.devices.names import gpu_device_name
from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from gpu_core.mig.model import MigGpu
from node_core.values import replace

Devices = Mapping[str, Device]
"""Name -> device."""
NOT_FOUND = "the GPU is not found"
"""The reason of the fault of a GPU that NVML does not report."""


def retain_lost(
    before: Devices,
    found: Devices,
    inventory: Inventory,
    mig_gpus: Iterable[MigGpu] = (),
    held: Collection[GpuUuid] | None = (),
) -> Devices:
    """Returns the devices found, and those before on a GPU that could not be read. inventory, mig_gpus: with which the devices were found.

    A fault without a UUID may belong to any missing GPU. A GPU that is missing without a fault was removed, and has devices only while a
    claim holds one of them. A GPU whose name another GPU has now has none. A GPU whose MIG layout could not be read retains its MIG
    devices, and is not offered as a whole: claims may hold its memory slices. held: the GPUs of claims; None if unknown.
    """
    present = {gpu.uuid for gpu in inventory.gpus}
    names = {gpu_device_name(gpu) for gpu in inventory.gpus}
    lost = {fault.uuid for fault in inventory.faults}
    readable = {gpu.uuid for gpu in mig_gpus}
    unread = {gpu.uuid: gpu.mig_enabled for gpu in inventory.gpus if gpu.mig_capable and gpu.uuid not in readable}

    def is_retained(device: Device) -> bool:
        uuid = device.gpu.uuid
        if uuid in present:
            is_mig = device.kind is DeviceKind.MIG
            return uuid in unread and (device.counter_set is not None or (unread[uuid] and is_mig))
        is_lost = uuid in lost or None in lost or held is None or uuid in held
        return is_lost and gpu_device_name(device.gpu) not in names

    retained = {name: device for name, device in before.items() if is_retained(device)}
    replaced = {device.gpu.uuid for device in retained.values()} & present
    new = {name: each for name, each in found.items() if each.gpu.uuid not in replaced}
    every = {**retained, **new}
    return {name: every[name] for name in dict.fromkeys((*before, *every)) if name in every}


def with_lost(inventory: Inventory, devices: Devices) -> Inventory:
    """Returns the inventory with a fault for each GPU that has devices and is not in the inventory: their health is that of a lost GPU."""
    known = {gpu.uuid for gpu in inventory.gpus} | {fault.uuid for fault in inventory.faults}
    lost = {device.gpu.uuid: device.gpu for device in devices.values() if device.gpu.uuid not in known}
    faults = [Fault(index=gpu.index, uuid=uuid, reason=NOT_FOUND) for uuid, gpu in lost.items()]
    return replace(inventory, faults=(*inventory.faults, *faults))
