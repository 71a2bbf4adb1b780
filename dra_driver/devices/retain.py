"""Retains the devices of GPUs that a discovery could not read: an error removes no device. Their taints state that they are lost."""

from collections.abc import Iterable, Mapping

from dra_driver.devices.model import Device
from gpu_core.domain.inventory import Inventory
from gpu_core.mig.model import MigGpu

Devices = Mapping[str, Device]
"""Name -> device."""


def retain_lost(before: Devices, found: Devices, inventory: Inventory, mig_gpus: Iterable[MigGpu] = ()) -> Devices:
    """Returns the devices found, and those before on a GPU that could not be read. inventory, mig_gpus: with which the devices were found.

    A fault without a UUID may belong to any missing GPU. A GPU that is missing without a fault was removed. A GPU whose MIG layout could
    not be read retains its MIG devices, and is not offered as a whole: claims may hold its memory slices.
    """
    present = {gpu.uuid for gpu in inventory.gpus}
    lost = {fault.uuid for fault in inventory.faults}
    readable = {gpu.uuid for gpu in mig_gpus}
    unread = {gpu.uuid: gpu.mig_enabled for gpu in inventory.gpus if gpu.mig_capable and gpu.uuid not in readable}

    def is_retained(device: Device) -> bool:
        uuid = device.gpu.uuid
        if uuid in present:
            return uuid in unread and (device.counter_set is not None or (unread[uuid] and device.mig is not None))
        return uuid in lost or None in lost

    retained = {name: device for name, device in before.items() if is_retained(device)}
    replaced = {device.gpu.uuid for device in retained.values()} & present
    new = {name: each for name, each in found.items() if each.gpu.uuid not in replaced}
    every = {**retained, **new}
    return {name: every[name] for name in dict.fromkeys((*before, *every)) if name in every}
