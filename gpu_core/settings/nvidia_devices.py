"""Parses the sections `resources`, `devices`, `reserved` and `pools` of NVIDIA's config file.

`resources` is NVIDIA's section: patterns of products and MIG profiles, and their resource names. The others are extensions of this project.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gpu_core.domain.device_rules import DeviceRules, Pool, Reservation
from gpu_core.domain.resources import GPU, NamePattern, ResourceName, ResourceNames, resource_name, short_name
from gpu_core.domain.selection import DeviceRef, parse_device_list
from gpu_core.settings.nvidia_sharing import parse_or_report


class PatternEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of resources.gpus or resources.mig. `*` in a pattern matches any text."""

    pattern: str
    name: str


class ResourcesSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section resources."""

    gpus: list[PatternEntry] = []
    mig: list[PatternEntry] = []


class DevicesSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section devices. Items: an index, `0:1`, a UUID, a PCI address, `product=<pattern>` or `profile=<pattern>`."""

    include: list[Any] | None = None
    exclude: list[Any] = []


class ReservedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of reserved. devices: see DevicesSection. why: for people."""

    devices: list[Any]
    why: str


class PoolEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of pools. name: of the resource, with or without `nvidia.com/`."""

    name: str
    devices: list[Any]


class DeviceSections(msgspec.Struct, frozen=True, kw_only=True):
    """All sections about devices."""

    resources: ResourcesSection = ResourcesSection()
    devices: DevicesSection = DevicesSection()
    reserved: list[ReservedEntry] = []
    pools: list[PoolEntry] = []


def parse_device_rules(sections: DeviceSections, problems: list[str]) -> DeviceRules:
    """Parses the sections. Appends every problem, with its path, to `problems`."""
    names = ResourceNames(
        gpus=_parse_patterns("resources.gpus", sections.resources.gpus, problems),
        mig=_parse_patterns("resources.mig", sections.resources.mig, problems),
    )
    include, exclude = sections.devices.include, sections.devices.exclude
    return DeviceRules(
        include=None if include is None else _parse_list("devices.include", include, problems),
        exclude=_parse_list("devices.exclude", exclude, problems) or () if exclude else (),
        reserved=_parse_reserved(sections.reserved, problems),
        pools=_parse_pools(sections.pools, names, problems),
        names=names,
    )


def _parse_list(path: str, items: list[Any], problems: list[str]) -> tuple[DeviceRef, ...] | None:
    return parse_or_report(path, lambda: parse_device_list(items), problems)


def _parse_name(path: str, name: str, problems: list[str]) -> ResourceName | None:
    return parse_or_report(f"{path}.name", lambda: resource_name(name), problems)


def _parse_patterns(path: str, entries: Sequence[PatternEntry], problems: list[str]) -> tuple[NamePattern, ...]:
    names = [
        (entry.pattern, _parse_name(f"{path}[{index}]", entry.name, problems)) for index, entry in enumerate(entries)
    ]
    return tuple(NamePattern(pattern=pattern, resource=name) for pattern, name in names if name is not None)


def _parse_reserved(entries: Sequence[ReservedEntry], problems: list[str]) -> tuple[Reservation, ...]:
    found: list[Reservation] = []
    for index, entry in enumerate(entries):
        devices = _parse_list(f"reserved[{index}].devices", entry.devices, problems)
        if not entry.why.strip():
            problems.append(f"reserved[{index}].why: is empty. Write why the devices are reserved.")
        if devices is not None:
            found.append(Reservation(devices=devices, why=entry.why))
    return tuple(found)


def _parse_pools(entries: Sequence[PoolEntry], names: ResourceNames, problems: list[str]) -> tuple[Pool, ...]:
    """Parses pools. Each pool needs a unique name, and devices that no other pool contains, as far as the texts show."""
    used_names = {GPU, *(each.resource for each in (*names.gpus, *names.mig))}
    pools: list[tuple[PoolEntry, Pool]] = []
    for index, entry in enumerate(entries):
        path = f"pools[{index}]"
        devices = _parse_list(f"{path}.devices", entry.devices, problems)
        name = _parse_name(path, entry.name, problems)
        if name is None or devices is None:
            continue
        if name in used_names or short_name(name).startswith("mig-"):
            problems.append(f"{path}.name: {name} is the name of devices outside pools. Use another name.")
        pool = Pool(resource=name, devices=devices)
        for other_entry, other in pools:
            if name == other.resource:
                problems.append(f"{path}.name: another pool has the name {name}")
            elif (both := _common(other.devices, devices)) is not None:
                problems.append(f"{path}.devices: {both} is already in pool {other_entry.name}")
        pools.append((entry, pool))
    return tuple(pool for _, pool in pools)


def _common(one: Sequence[DeviceRef], other: Sequence[DeviceRef]) -> DeviceRef | None:
    return next((ref for ref in other if any(ref.overlaps(each) for each in one)), None)
