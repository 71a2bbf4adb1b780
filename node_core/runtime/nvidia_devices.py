"""The sections of NVIDIA's config file that say who gets which device under what name, and the value that they become.

`resources` is NVIDIA's: patterns of products and MIG profiles and the names to advertise them by. `devices`, `reserved` and `pools` are
ours.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from node_core.domain.device_rules import DeviceRules, Pool, Reservation
from node_core.domain.resources import GPU, NamePattern, ResourceNames, resource_name, short_name
from node_core.domain.selection import DeviceRef, parse_device_list
from node_core.runtime.nvidia_sharing import refusal


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of resources.gpus or resources.mig. `*` in a pattern is any text."""

    pattern: str
    name: str


class ResourcesSection(msgspec.Struct, frozen=True, kw_only=True):
    """resources."""

    gpus: list[Pattern] = []
    mig: list[Pattern] = []


class DevicesSection(msgspec.Struct, frozen=True, kw_only=True):
    """devices. Items: an index, `0:1`, a UUID, a PCI address, `product=<pattern>` or `profile=<pattern>`."""

    include: list[Any] | None = None
    exclude: list[Any] = []


class ReservedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of reserved. devices: as in DevicesSection. why: for people."""

    devices: list[Any]
    why: str


class PoolEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of pools. name: of its resource, with or without `nvidia.com/`."""

    name: str
    devices: list[Any]


class DeviceSections(msgspec.Struct, frozen=True, kw_only=True):
    """The four sections together."""

    resources: ResourcesSection = ResourcesSection()
    devices: DevicesSection = DevicesSection()
    reserved: list[ReservedEntry] = []
    pools: list[PoolEntry] = []


def plan_rules(sections: DeviceSections) -> DeviceRules:
    """For sections without `device_problems`."""
    include, exclude = sections.devices.include, sections.devices.exclude
    return DeviceRules(
        include=None if include is None else parse_device_list(include),
        exclude=parse_device_list(exclude) if exclude else (),
        reserved=tuple(
            Reservation(devices=parse_device_list(each.devices), why=each.why) for each in sections.reserved
        ),
        pools=tuple(
            Pool(resource=resource_name(each.name), devices=parse_device_list(each.devices)) for each in sections.pools
        ),
        names=ResourceNames(
            gpus=tuple(map(_name_pattern, sections.resources.gpus)),
            mig=tuple(map(_name_pattern, sections.resources.mig)),
        ),
    )


def device_problems(sections: DeviceSections) -> Iterator[str]:
    """Everything that is wrong with the sections and that types alone do not say, each with its path."""
    for path, values in _lists(sections):
        yield from refusal(path, partial(parse_device_list, values))
    for path, name in _names(sections):
        yield from refusal(path, partial(resource_name, name))
    for index, entry in enumerate(sections.reserved):
        if not entry.why.strip():
            yield f"reserved[{index}].why: is empty: say what they are reserved for"
    yield from _pool_problems(sections)


def _name_pattern(entry: Pattern) -> NamePattern:
    return NamePattern(pattern=entry.pattern, resource=resource_name(entry.name))


def _lists(sections: DeviceSections) -> Iterator[tuple[str, list[Any]]]:
    if sections.devices.include is not None:
        yield "devices.include", sections.devices.include
    if sections.devices.exclude:
        yield "devices.exclude", sections.devices.exclude
    yield from ((f"reserved[{index}].devices", entry.devices) for index, entry in enumerate(sections.reserved))
    yield from ((f"pools[{index}].devices", entry.devices) for index, entry in enumerate(sections.pools))


def _names(sections: DeviceSections) -> Iterator[tuple[str, str]]:
    for kind, patterns in (("gpus", sections.resources.gpus), ("mig", sections.resources.mig)):
        for index, entry in enumerate(patterns):
            yield f"resources.{kind}[{index}].name", entry.name
    for index, pool in enumerate(sections.pools):
        yield f"pools[{index}].name", pool.name


def _pool_problems(sections: DeviceSections) -> Iterator[str]:
    """A pool's name is its own, and so are its devices, as far as their texts say."""
    taken = {resource_name(name) for path, name in _names(sections) if path.startswith("resources") and _is_name(name)}
    pools = [(f"pools[{index}]", pool) for index, pool in enumerate(sections.pools) if _is_sound(pool)]
    for where, pool in pools:
        name = resource_name(pool.name)
        if name == GPU or name in taken or short_name(name).startswith("mig-"):
            yield f"{where}.name: {name} is the name of what is in no pool: take another"
    for (_, one), (where, other) in itertools.combinations(pools, 2):
        if resource_name(one.name) == resource_name(other.name):
            yield f"{where}.name: {resource_name(other.name)} is there more than once"
        elif (both := _common(parse_device_list(one.devices), parse_device_list(other.devices))) is not None:
            yield f"{where}.devices: {both} is in pool {one.name} already"


def _common(one: Sequence[DeviceRef], other: Sequence[DeviceRef]) -> DeviceRef | None:
    return next((ref for ref in other if any(ref.overlaps(each) for each in one)), None)


def _is_name(name: str) -> bool:
    return not list(refusal("", lambda: resource_name(name)))


def _is_sound(pool: PoolEntry) -> bool:
    return _is_name(pool.name) and not list(refusal("", lambda: parse_device_list(pool.devices)))
