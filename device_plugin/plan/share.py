"""Shares devices: replaces a device by replicas that can be allocated separately. PURE.

Source: k8s-device-plugin README, "Shared Access to GPUs".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from device_plugin.devices import Device, DeviceId
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.selection import AllDevices, DeviceCount, select_devices
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy, is_mps_blocked_by_mig
from node_core.values import replace

Pair = tuple[ResourceName, Device]


@dataclass(slots=True, kw_only=True)
class SharingResult:
    """pairs: replicas and devices that are not shared, with the resource that pods request."""

    pairs: list[Pair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def effective_sharing(sharing: Sharing | None, inventory: Inventory, devices: Iterable[Device]) -> Sharing | None:
    """Returns the sharing with the limits of the driver.

    Returns None if MPS is configured and a GPU is in MIG mode, even if this GPU is temporarily unreadable.
    """
    lost_mig = any(device.gpu_instance is not None for device in devices)
    is_mps = sharing is not None and sharing.strategy is SharingStrategy.MPS
    if sharing is None or is_mps_blocked_by_mig(inventory, sharing) or (is_mps and lost_mig):
        return None
    return sharing.for_driver(inventory.driver)


def share_devices(assigned: Iterable[Pair], sharing: Sharing | None) -> SharingResult:
    """assigned: devices with the resource name that the config file uses. Devices that are not shared retain this resource."""
    if sharing is None:
        return SharingResult(pairs=list(assigned))
    groups: dict[ResourceName, list[Device]] = {}
    for resource, device in assigned:
        groups.setdefault(resource, []).append(device)
    result = SharingResult()
    for resource, devices in groups.items():
        _share(resource, devices, sharing, result)
    for resource in dict.fromkeys(entry.resource for entry in sharing.resources):
        if resource not in groups:
            result.notes.append(
                f"The config shares {resource}, but no device on this node is advertised under that name."
            )
    return result


def _share(resource: ResourceName, devices: Sequence[Device], sharing: Sharing, result: SharingResult) -> None:
    """Adds the replicas of one resource, and the devices that are not shared, to the result."""
    left = {device.uuid: device for device in devices}
    for entry in sharing.find_all(resource):
        chosen = [device for device in select_devices(entry.devices, devices) if device.uuid in left]
        result.notes += _selection_notes(entry, devices, left)
        for device in chosen:
            del left[device.uuid]
        result.pairs += _replicas(entry, chosen, sharing, tuple(device.uuid for device in devices), result.notes)
    result.pairs += [(resource, device) for device in left.values()]


def _replicas(
    entry: SharedResource, devices: Iterable[Device], sharing: Sharing, uuids: Sequence[str], notes: list[str]
) -> Iterator[Pair]:
    """uuids: of all devices of the resource. Each note is added once."""
    for device in devices:
        count = sharing.limit_replicas(entry.replicas, device.compute, uuids)
        if count < entry.replicas:
            note = f"{device.name} supports {count} MPS clients, not {entry.replicas}."
            if sharing.strategy is not SharingStrategy.MPS:
                note = f"each device has {count} replicas, not {entry.replicas}: the kubelet accepts no longer list of devices."
            if (line := f"{entry.resource}: {note}") not in notes:
                notes.append(line)
        for replica in range(count):
            yield entry.advertised, replace(device, id=DeviceId(f"{device.uuid}::{replica}"), replica=replica)


def _selection_notes(entry: SharedResource, devices: Sequence[Device], left: Mapping[str, Device]) -> Iterator[str]:
    match entry.devices:
        case AllDevices():
            return
        case DeviceCount(count=count):
            if count > len(devices):
                yield f"{entry.resource}: the config shares {count} devices, but the node has {len(devices)}."
        case listed:
            for ref in listed.devices:
                matching = [device for device in devices if ref.matches(device)]
                if not matching:
                    yield f"{entry.resource}: the config shares {ref}, but no device on this node matches it."
                for device in matching:
                    if device.uuid not in left:
                        yield f"{entry.resource}: the config shares {device.name} twice; the first entry applies."
