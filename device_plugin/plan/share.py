"""Devices that are given out more than once, as so many replicas. PURE. Source: k8s-device-plugin README, "Shared Access to GPUs"."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from device_plugin.devices import Device, DeviceId
from node_core.domain.inventory import Inventory
from node_core.domain.resources import ResourceName
from node_core.domain.selection import AllDevices, DeviceCount, DeviceSelection
from node_core.domain.sharing import SharedResource, Sharing, SharingStrategy, mps_hindered

Pair = tuple[ResourceName, Device]


@dataclass(slots=True, kw_only=True)
class Shared:
    """pairs: replicas, and what is not shared, by the resource that pods ask for."""

    pairs: list[Pair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def effective_sharing(sharing: Sharing | None, inventory: Inventory, devices: Iterable[Device]) -> Sharing | None:
    """What is shared on this node: nothing by MPS where a GPU is in MIG mode, also where that GPU cannot be read just now."""
    lost_mig = any(device.gpu_instance is not None for device in devices)
    is_mps = sharing is not None and sharing.strategy is SharingStrategy.MPS
    return None if mps_hindered(inventory, sharing) or (is_mps and lost_mig) else sharing


def share_devices(given: Iterable[Pair], sharing: Sharing | None) -> Shared:
    """given: devices by the resource that the config file calls them by. What is not shared keeps that name."""
    groups: dict[ResourceName, list[Device]] = {}
    for resource, device in given:
        groups.setdefault(resource, []).append(device)
    shared = Shared()
    for resource, devices in groups.items():
        _share(resource, devices, sharing, shared)
    if sharing is not None:
        shared.notes += _absent(groups, sharing)
    return shared


def _share(resource: ResourceName, devices: Sequence[Device], sharing: Sharing | None, into: Shared) -> None:
    left = {device.uuid: device for device in devices}
    for entry in sharing.all_of(resource) if sharing is not None else ():
        chosen = [device for device in _select(entry.devices, devices) if device.uuid in left]
        into.notes += _selection_notes(entry, devices, left)
        for device in chosen:
            del left[device.uuid]
        into.pairs += _replicas(entry, chosen, sharing, into.notes)
    into.pairs += [(resource, device) for device in left.values()]


def _replicas(
    entry: SharedResource, devices: Iterable[Device], sharing: Sharing | None, notes: list[str]
) -> Iterator[Pair]:
    for device in devices:
        count = sharing.possible_replicas(entry.replicas, device.compute) if sharing is not None else 1
        if count < entry.replicas:
            notes.append(f"{entry.resource}: GPU {device.index} can have {count} MPS clients, not {entry.replicas}.")
        for replica in range(count):
            yield entry.advertised, replace(device, id=DeviceId(f"{device.uuid}::{replica}"), replica=replica)


def _select(selection: DeviceSelection, devices: Sequence[Device]) -> Sequence[Device]:
    match selection:
        case AllDevices():
            return devices
        case DeviceCount(count=count):
            return devices[:count]
        case listed:
            return [device for device in devices if any(ref.means(device) for ref in listed.devices)]


def _selection_notes(entry: SharedResource, devices: Sequence[Device], left: Mapping[str, Device]) -> Iterator[str]:
    match entry.devices:
        case AllDevices():
            return
        case DeviceCount(count=count):
            if count > len(devices):
                yield f"{entry.resource}: {count} devices are to be shared, and there are {len(devices)}."
        case listed:
            for ref in listed.devices:
                meant = [device for device in devices if ref.means(device)]
                if not meant:
                    yield f"{entry.resource}: {ref} is to be shared, and no such device is there now."
                for device in meant:
                    if device.uuid not in left:
                        yield f"{entry.resource}: device {device.index} is to be shared in two ways; the first one counts."


def _absent(groups: Mapping[ResourceName, Sequence[Device]], sharing: Sharing) -> Iterator[str]:
    for resource in dict.fromkeys(entry.resource for entry in sharing.resources):
        if resource not in groups:
            yield f"{resource} is to be shared, and no device has that name now."
