"""Assigns each device to a pool, to its usual resource, or reserves it. PURE.

Reservations and exclusions take precedence over pools, and pools take precedence over the usual resource.
"""

from collections.abc import Iterator, Sequence

import msgspec

from device_plugin.devices import Device, ReservedDevice
from device_plugin.plan.layout import Layout
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.resources import ResourceName, short_name
from gpu_core.domain.selection import DeviceRef


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """assigned: the devices to advertise, with their resources. reserved: all other devices."""

    assigned: tuple[tuple[ResourceName, Device], ...]
    reserved: tuple[ReservedDevice, ...]
    notes: tuple[str, ...]


def assign_devices(devices: Sequence[Device], layout: Layout, rules: DeviceRules) -> Assignment:
    assigned: list[tuple[ResourceName, Device]] = []
    reserved: list[ReservedDevice] = []
    for device in devices:
        pools = rules.pools_of(device)
        resource = pools[0] if pools else layout.resource(device)
        why = rules.reservation_reason(device) or _pool_conflict(pools)
        if why is not None:
            reserved.append(ReservedDevice(device=device, why=why))
        elif resource is None:
            reason, why = layout.unadvertised_reason(device)
            reserved.append(ReservedDevice(device=device, why=why, reason=reason))
        else:
            assigned.append((resource, device))
    return Assignment(assigned=tuple(assigned), reserved=tuple(reserved), notes=tuple(_notes(devices, rules)))


def _pool_conflict(pools: Sequence[ResourceName]) -> str | None:
    """A device that matches several pools is not assigned to any pool."""
    names = [short_name(pool) for pool in pools]
    return f"the device matches several pools: {', '.join(names)}" if len(names) > 1 else None


def _notes(devices: Sequence[Device], rules: DeviceRules) -> Iterator[str]:
    for section, refs in _lists(rules):
        for ref in refs:
            if not any(ref.matches(device) for device in devices):
                yield f"{section}: no device on this node matches {ref}."
    for device in devices:
        pools = rules.pools_of(device)
        if (why := _pool_conflict(pools)) is not None and rules.reservation_reason(device) is None:
            yield f"{device.name} is not advertised: {why}."


def _lists(rules: DeviceRules) -> Iterator[tuple[str, Sequence[DeviceRef]]]:
    yield "devices.include", rules.include or ()
    yield "devices.exclude", rules.exclude
    for index, reservation in enumerate(rules.reserved):
        yield f"reserved[{index}]", reservation.devices
    for pool in rules.pools:
        yield f"pool {short_name(pool.resource)}", pool.devices
