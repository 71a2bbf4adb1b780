"""The devices that an administrator excludes, reserves, gives to a pool or renames. `device_plugin.plan` applies these rules.

`resources` is a section of NVIDIA's config file that NVIDIA's own plugin reads and ignores. `devices`, `reserved` and `pools` are
extensions of this project.
"""

from collections.abc import Iterable

import msgspec

from gpu_core.domain.resources import ResourceName, ResourceNames
from gpu_core.domain.selection import DeviceRef, SelectableDevice


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that are not advertised. why: a sentence for people."""

    devices: tuple[DeviceRef, ...]
    why: str


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that are advertised as this resource only."""

    resource: ResourceName
    devices: tuple[DeviceRef, ...]


class DeviceRules(msgspec.Struct, frozen=True, kw_only=True):
    """include: the devices to advertise; None for all. exclude: devices not to advertise. Pools do not overlap."""

    include: tuple[DeviceRef, ...] | None = None
    exclude: tuple[DeviceRef, ...] = ()
    reserved: tuple[Reservation, ...] = ()
    pools: tuple[Pool, ...] = ()
    names: ResourceNames = msgspec.field(default_factory=ResourceNames)

    def reservation_reason(self, device: SelectableDevice) -> str | None:
        """Returns why the config does not advertise the device, as a sentence; None if it does. Takes precedence over pools."""
        for reservation in self.reserved:
            if _matches(device, reservation.devices):
                return reservation.why
        if _matches(device, self.exclude):
            return "devices.exclude in the config file lists the device"
        if self.include is not None and not _matches(device, self.include):
            return "devices.include in the config file does not list the device"
        return None

    def pools_of(self, device: SelectableDevice) -> tuple[ResourceName, ...]:
        """Returns the resources of the pools that match the device. A device of several pools is not advertised."""
        return tuple(pool.resource for pool in self.pools if _matches(device, pool.devices))


def _matches(device: SelectableDevice, refs: Iterable[DeviceRef]) -> bool:
    return any(ref.matches(device) for ref in refs)
