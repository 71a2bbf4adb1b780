"""Who gets which device: nobody, a pool, or the resource that all share in. PURE.

What keeps a device back goes before what gives it away, and a pool before the common resource.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from device_plugin.devices import Device, Reserved
from device_plugin.plan.layout import Layout
from node_core.domain.device_rules import DeviceRules
from node_core.domain.resources import ResourceName, short_name
from node_core.domain.selection import DeviceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Each device is in one of `given` and `reserved`."""

    given: tuple[tuple[ResourceName, Device], ...]
    reserved: tuple[Reserved, ...]
    notes: tuple[str, ...]


def assign_devices(devices: Sequence[Device], layout: Layout, rules: DeviceRules) -> Assigned:
    given: list[tuple[ResourceName, Device]] = []
    reserved: list[Reserved] = []
    for device in devices:
        pools = [pool.resource for pool in rules.pools if _is_meant(device, pool.devices)]
        resource = pools[0] if pools else layout.resource(device)
        why = _why_kept_back(device, rules) or _why_contested(pools)
        if why is not None or resource is None:
            reserved.append(Reserved(device=device, why=why or layout.why_none(device)))
        else:
            given.append((resource, device))
    return Assigned(given=tuple(given), reserved=tuple(reserved), notes=tuple(_notes(devices, rules)))


def _why_kept_back(device: Device, rules: DeviceRules) -> str | None:
    for reservation in rules.reserved:
        if _is_meant(device, reservation.devices):
            return reservation.why
    if _is_meant(device, rules.exclude):
        return "devices.exclude of the config file names it"
    if rules.include is not None and not _is_meant(device, rules.include):
        return "devices.include of the config file does not name it"
    return None


def _why_contested(pools: Sequence[ResourceName]) -> str | None:
    """Who should have it is not ours to guess."""
    names = [short_name(pool) for pool in pools]
    return f"the pools {' and '.join(names)} both want it" if len(names) > 1 else None


def _is_meant(device: Device, refs: Iterable[DeviceRef]) -> bool:
    return any(ref.means(device) for ref in refs)


def _notes(devices: Sequence[Device], rules: DeviceRules) -> Iterator[str]:
    for section, refs in _lists(rules):
        for ref in refs:
            if not any(ref.means(device) for device in devices):
                yield f"{section}: {ref} means no device that this node has now."
    for device in devices:
        pools = [pool.resource for pool in rules.pools if _is_meant(device, pool.devices)]
        if (why := _why_contested(pools)) is not None and _why_kept_back(device, rules) is None:
            yield f"Device {device.index} ({device.uuid}) is not advertised: {why}."


def _lists(rules: DeviceRules) -> Iterator[tuple[str, Sequence[DeviceRef]]]:
    yield "devices.include", rules.include or ()
    yield "devices.exclude", rules.exclude
    for index, reservation in enumerate(rules.reserved):
        yield f"reserved[{index}]", reservation.devices
    for pool in rules.pools:
        yield f"pool {short_name(pool.resource)}", pool.devices
