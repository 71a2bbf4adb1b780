"""Devices that the node had at the last look and that cannot be read now: they stay, unhealthy, until they read well again. PURE.

One that is gone from a sound reading is dropped: somebody took it out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from device_plugin.devices import Device, in_order
from node_core.domain.inventory import Fault, GpuUuid, Inventory


def find_lost(known: Sequence[Device], inventory: Inventory, present: Sequence[Device]) -> Iterator[Device]:
    """known: each device of the last plan once, without replicas. present: those of this look."""
    reasons = _unreadable(known, inventory)
    there = {device.uuid for device in present}
    for device in known:
        _, colon, slot = device.index.partition(":")
        reason = reasons.get(device.gpu) or (reasons.get(_slot_key(device.gpu, int(slot))) if colon else None)
        if reason and device.uuid not in there:
            yield replace(device, why_unhealthy=reason)


def _unreadable(known: Sequence[Device], inventory: Inventory) -> Mapping[str, str]:
    """GPU UUID, or `_slot_key` of a MIG device, -> why it cannot be read."""
    readable = {gpu.uuid for gpu in inventory.gpus}
    reasons: dict[str, str] = {
        _slot_key(gpu.uuid, fault.slot): fault.reason for gpu in inventory.gpus for fault in gpu.mig_faults
    }
    missing = {device.gpu: device for device in known if device.gpu not in readable}
    reasons |= {fault.uuid: fault.reason for fault in inventory.faults if fault.uuid}
    nameless = [fault for fault in inventory.faults if fault.uuid is None]
    return reasons | _attributed(nameless, [missing[uuid] for uuid in missing if uuid not in reasons])


def _slot_key(uuid: GpuUuid, slot: int) -> str:
    return f"{uuid}:{slot}"


def _attributed(faults: Sequence[Fault], missing: Sequence[Device]) -> dict[str, str]:
    """Faults that do not even say whose they are, given to GPUs that are missing: by index, and then in order.

    NVML may count a GPU's neighbours anew when it falls off the bus, so the index alone may name a healthy one.
    """
    by_index = {device.index.partition(":")[0]: device for device in missing}
    certain = {fault.index: by_index[str(fault.index)].gpu for fault in faults if str(fault.index) in by_index}
    reasons = {str(certain[fault.index]): fault.reason for fault in faults if fault.index in certain}
    left = [device.gpu for device in in_order(missing) if device.gpu not in reasons]
    others = [fault for fault in faults if fault.index not in certain]
    return reasons | {str(uuid): fault.reason for uuid, fault in zip(left, others, strict=False)}
