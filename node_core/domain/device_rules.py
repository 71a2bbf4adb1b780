"""What a node's administrator keeps back, gives to a team, or calls by another name. The values; `device_plugin.plan` goes by them.

`devices`, `reserved` and `pools` of the config file are ours; `resources` is NVIDIA's, which its own plugin reads and ignores.
"""

from dataclasses import dataclass, field

from node_core.domain.resources import ResourceName, ResourceNames
from node_core.domain.selection import DeviceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Devices that are for nobody. why: a sentence, for people."""

    devices: tuple[DeviceRef, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Devices that have a resource of their own, and no other."""

    resource: ResourceName
    devices: tuple[DeviceRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRules:
    """include: only these are advertised; None for all. exclude: these are not. No device is meant by two pools."""

    include: tuple[DeviceRef, ...] | None = None
    exclude: tuple[DeviceRef, ...] = ()
    reserved: tuple[Reservation, ...] = ()
    pools: tuple[Pool, ...] = ()
    names: ResourceNames = field(default_factory=ResourceNames)
