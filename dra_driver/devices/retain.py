"""Retains the devices of GPUs that a discovery could not read: an error removes no device. Their taints state that they are lost."""

from collections.abc import Mapping

from dra_driver.devices.model import Device
from gpu_core.domain.inventory import Inventory

Devices = Mapping[str, Device]
"""Name -> device."""


def retain_lost(before: Devices, found: Devices, inventory: Inventory) -> Devices:
    """Returns the devices found, and those before on a GPU that could not be read. inventory: of the discovery that found the devices.

    A fault without a UUID may belong to any missing GPU. A GPU that is missing without a fault was removed.
    """
    present = {gpu.uuid for gpu in inventory.gpus}
    lost = {fault.uuid for fault in inventory.faults}
    retained = {
        name: device
        for name, device in before.items()
        if device.gpu.uuid not in present and (device.gpu.uuid in lost or None in lost)
    }
    every = {**found, **{name: device for name, device in retained.items() if name not in found}}
    return {name: every[name] for name in dict.fromkeys((*before, *every)) if name in every}
