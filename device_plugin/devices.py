"""Which devices are advertised, under which resource, and how they are. PURE.

No layout of the node is fatal: what is sound is served, and a note says what is not and why.
Source: NVIDIA device plugin's MIG strategies none, single and mixed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NewType

from node_core.domain.inventory import Fault, Gpu, GpuUuid, Inventory, MigDevice, NvLinkPeer, PciAddress
from node_core.domain.resources import GPU, ResourceName, mig_resource

DeviceId = NewType("DeviceId", str)
"""What the kubelet calls a device: the UUID of the GPU or of the MIG device."""
MigStrategy = Literal["none", "single", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something that one container can have.

    index: NVML's, `0`; of a MIG device `<GPU>:<slot>`, `0:1`. gpu, numa_node, address, peers: of the whole GPU.
    why_unhealthy: a sentence, None while it is healthy. paths: its device nodes.
    """

    id: DeviceId
    index: str
    gpu: GpuUuid
    why_unhealthy: str | None = None
    numa_node: int | None = None
    address: PciAddress | None = None
    paths: tuple[str, ...] = ()
    peers: tuple[NvLinkPeer, ...] = ()

    @property
    def healthy(self) -> bool:
        return self.why_unhealthy is None

    @property
    def order(self) -> tuple[tuple[int, ...], str]:
        """Sorts devices as NVML counts them."""
        return tuple(int(part) for part in self.index.split(":")), self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to advertise. resources: devices by resource, both in order. notes: a sentence for each thing that is left out."""

    resources: Mapping[ResourceName, tuple[Device, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def plan_devices(inventory: Inventory, *, mig_strategy: MigStrategy, known: Plan | None = None) -> Plan:
    """What to advertise now. known: the last plan.

    A device of `known` whose GPU or MIG slot cannot be read any more stays, unhealthy, until it reads well again. One that is gone
    from a sound reading is dropped.
    """
    notes = list(_layout_notes(inventory, mig_strategy))
    devices = {} if notes and mig_strategy == "single" else _assign(inventory.gpus, mig_strategy)
    notes += [f"GPU {fault.index} cannot be read: {fault.reason}." for fault in inventory.faults]
    notes += [
        f"MIG device {gpu.index}:{fault.slot} cannot be read: {fault.reason}."
        for gpu in inventory.gpus
        for fault in gpu.mig_faults
    ]
    lost = _lost(known.resources if known else {}, inventory, {device.id for _, device in _pairs(devices)})
    return Plan(resources=_grouped([*_pairs(devices), *lost]), notes=tuple(notes))


def fail_devices(plan: Plan, why: str) -> Plan:
    """The same devices, all unhealthy: the GPUs cannot be looked at."""
    failed = {
        resource: tuple(replace(device, why_unhealthy=why) for device in devices)
        for resource, devices in plan.resources.items()
    }
    return replace(plan, resources=failed)


def _assign(gpus: Iterable[Gpu], strategy: MigStrategy) -> Mapping[ResourceName, tuple[Device, ...]]:
    pairs: list[tuple[ResourceName, Device]] = []
    for gpu in gpus:
        if strategy == "none" or not gpu.mig_enabled:
            pairs.append((GPU, _whole(gpu)))
        elif strategy == "single":
            pairs += [(GPU, _part(gpu, mig)) for mig in gpu.mig_devices]
        else:
            pairs += [(mig_resource(mig.profile), _part(gpu, mig)) for mig in gpu.mig_devices if mig.profile]
    return _grouped(pairs)


def _whole(gpu: Gpu) -> Device:
    return Device(
        id=DeviceId(gpu.uuid),
        index=str(gpu.index),
        gpu=gpu.uuid,
        numa_node=gpu.numa_node,
        address=gpu.address,
        paths=() if gpu.minor is None else (f"/dev/nvidia{gpu.minor}",),
        peers=gpu.peers,
    )


def _part(gpu: Gpu, mig: MigDevice) -> Device:
    return replace(_whole(gpu), id=DeviceId(mig.uuid), index=f"{gpu.index}:{mig.slot}")


def _layout_notes(inventory: Inventory, strategy: MigStrategy) -> Iterator[str]:
    enabled = [gpu for gpu in inventory.gpus if gpu.mig_enabled]
    if inventory.why_empty:
        yield f"No GPUs: {inventory.why_empty}."
    match strategy:
        case "none":
            for gpu in enabled:
                yield f"GPU {gpu.index} has MIG enabled and is advertised as a whole: set the MIG strategy to single or mixed."
        case "single":
            yield from _single_notes(inventory.gpus, enabled)
        case "mixed":
            yield from _mixed_notes(enabled)


def _single_notes(gpus: tuple[Gpu, ...], enabled: list[Gpu]) -> Iterator[str]:
    """One resource name can stand for one kind of device only. Checked in the order in which the GPU labels check it."""
    ending = f"{GPU} is not advertised with MIG strategy single."
    empty = [str(gpu.index) for gpu in enabled if not gpu.mig_devices and not gpu.mig_faults]
    kinds = {mig.profile or str(mig.attributes) for gpu in enabled for mig in gpu.mig_devices}
    if empty:
        yield f"MIG is enabled but has no devices on GPU {', '.join(empty)}: {ending}"
    elif enabled and len(enabled) < len(gpus):
        yield f"MIG is enabled on some GPUs only: {ending}"
    elif len(kinds) > 1:
        yield f"The MIG devices are of {len(kinds)} kinds, {', '.join(sorted(kinds))}: {ending}"


def _mixed_notes(enabled: list[Gpu]) -> Iterator[str]:
    for gpu in enabled:
        if not gpu.mig_devices and not gpu.mig_faults:
            yield f"GPU {gpu.index} has MIG enabled but no MIG devices: nothing of it is advertised."
        for mig in gpu.mig_devices:
            if mig.profile is None:
                yield f"MIG device {gpu.index}:{mig.slot} has a profile without a known name: it is not advertised."


def _lost(
    known: Mapping[ResourceName, tuple[Device, ...]], inventory: Inventory, present: set[DeviceId]
) -> Iterator[tuple[ResourceName, Device]]:
    reasons = _unreadable(known, inventory)
    for resource, device in _pairs(known):
        _, colon, slot = device.index.partition(":")
        reason = reasons.get(device.gpu) or (reasons.get(_slot_key(device.gpu, int(slot))) if colon else None)
        if reason and device.id not in present:
            yield resource, replace(device, why_unhealthy=reason)


def _unreadable(known: Mapping[ResourceName, tuple[Device, ...]], inventory: Inventory) -> Mapping[str, str]:
    """GPU UUID, or `_slot_key` of a MIG device, -> why it cannot be read."""
    readable = {gpu.uuid for gpu in inventory.gpus}
    reasons: dict[str, str] = {
        _slot_key(gpu.uuid, fault.slot): fault.reason for gpu in inventory.gpus for fault in gpu.mig_faults
    }
    missing = {device.gpu: device for _, device in _pairs(known) if device.gpu not in readable}
    reasons |= {fault.uuid: fault.reason for fault in inventory.faults if fault.uuid}
    nameless = [fault for fault in inventory.faults if fault.uuid is None]
    return reasons | _attributed(nameless, [missing[uuid] for uuid in missing if uuid not in reasons])


def _slot_key(uuid: GpuUuid, slot: int) -> str:
    return f"{uuid}:{slot}"


def _attributed(faults: list[Fault], missing: list[Device]) -> dict[str, str]:
    """Faults that do not even say whose they are, given to GPUs that are missing: by index, and then in order.

    NVML may count a GPU's neighbours anew when it falls off the bus, so the index alone may name a healthy one.
    """
    by_index = {device.order[0][0]: device for device in missing}
    certain = {fault.index: by_index[fault.index].gpu for fault in faults if fault.index in by_index}
    reasons = {str(certain[fault.index]): fault.reason for fault in faults if fault.index in certain}
    left = [device.gpu for device in sorted(missing, key=lambda device: device.order) if device.gpu not in reasons]
    others = [fault for fault in faults if fault.index not in certain]
    return reasons | {str(uuid): fault.reason for uuid, fault in zip(left, others, strict=False)}


def _pairs(resources: Mapping[ResourceName, tuple[Device, ...]]) -> Iterator[tuple[ResourceName, Device]]:
    return ((resource, device) for resource, devices in resources.items() for device in devices)


def _grouped(pairs: Iterable[tuple[ResourceName, Device]]) -> Mapping[ResourceName, tuple[Device, ...]]:
    groups: dict[ResourceName, dict[DeviceId, Device]] = {}
    for resource, device in pairs:
        groups.setdefault(resource, {}).setdefault(device.id, device)
    return {
        resource: tuple(sorted(groups[resource].values(), key=lambda device: device.order))
        for resource in sorted(groups)
    }
