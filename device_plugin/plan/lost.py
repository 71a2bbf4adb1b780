"""Lists devices that the previous discovery read and the current discovery cannot read. These devices remain advertised as unhealthy. PURE.

A device that is missing although the discovery has no faults is dropped, because the hardware was removed.
"""

from collections.abc import Iterator, Mapping, Sequence

from device_plugin.devices import Device, sort_devices
from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from node_core.values import replace


def list_lost_devices(known: Sequence[Device], inventory: Inventory, present: Sequence[Device]) -> Iterator[Device]:
    """known: the devices of the previous plan, without replicas. present: the devices of the current discovery."""
    reasons = _unreadable_reasons(known, inventory)
    present_uuids = {device.uuid for device in present}
    for device in known:
        _, colon, slot = device.index.partition(":")
        reason = reasons.get(device.gpu) or (reasons.get(_slot_key(device.gpu, int(slot))) if colon else None)
        if reason and device.uuid not in present_uuids:
            yield replace(device, why_unhealthy=reason)


def _unreadable_reasons(known: Sequence[Device], inventory: Inventory) -> Mapping[str, str]:
    """Returns GPU UUID, or `_slot_key` of a MIG device -> why the device cannot be read."""
    readable = {gpu.uuid for gpu in inventory.gpus}
    reasons: dict[str, str] = {
        _slot_key(gpu.uuid, fault.slot): fault.reason for gpu in inventory.gpus for fault in gpu.mig_faults
    }
    missing = {device.gpu: device for device in known if device.gpu not in readable}
    reasons |= {fault.uuid: fault.reason for fault in inventory.faults if fault.uuid}
    anonymous = [fault for fault in inventory.faults if fault.uuid is None]
    return reasons | _attribute_faults(anonymous, [missing[uuid] for uuid in missing if uuid not in reasons])


def _slot_key(uuid: GpuUuid, slot: int) -> str:
    return f"{uuid}:{slot}"


def _attribute_faults(faults: Sequence[Fault], missing: Sequence[Device]) -> dict[str, str]:
    """Attributes faults without a UUID to missing GPUs: first by index, then in order.

    NVML may renumber the other GPUs when a GPU falls off the bus, so the index of a fault may belong to a healthy GPU.
    """
    by_index = {device.index.partition(":")[0]: device for device in missing}
    certain = {fault.index: by_index[str(fault.index)].gpu for fault in faults if str(fault.index) in by_index}
    reasons = {str(certain[fault.index]): fault.reason for fault in faults if fault.index in certain}
    left = [device.gpu for device in sort_devices(missing) if device.gpu not in reasons]
    others = [fault for fault in faults if fault.index not in certain]
    return reasons | {str(uuid): fault.reason for uuid, fault in zip(left, others, strict=False)}
