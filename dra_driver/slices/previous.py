"""Reads the devices that an earlier process of the driver published from its ResourceSlices. PURE.

They have what a scheduler sees: name, attributes, capacity and counters. The GPU of such a device has no more than its UUID and number.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from dra_driver.devices.model import Attribute, CounterSet, Device, DeviceKind, Version
from dra_driver.slices.plan import is_slice_of
from gpu_core.domain.inventory import Gpu, GpuUuid
from gpu_core.mig.model import Placement
from node_core.domain.quantity import parse_quantity

_GPU = re.compile(r"gpu-(\d{1,9})(?:-.*)?", re.ASCII)
_MEMORY_SLICE = re.compile(r"memory-slice-(\d{1,3})", re.ASCII)
_MALFORMED = (ValueError, UnicodeEncodeError)
"""Includes ValidationError of msgspec; UnicodeEncodeError: a text with half of a surrogate pair."""


class _Amount(msgspec.Struct, frozen=True, kw_only=True):
    value: str

    @property
    def number(self) -> int:
        return int(parse_quantity(self.value))


_Amounts = dict[str, _Amount]


class _Attribute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    string: str | None = None
    int_: int | None = msgspec.field(name="int", default=None)
    bool_: bool | None = msgspec.field(name="bool", default=None)
    version: str | None = None

    @property
    def value(self) -> Attribute:
        """Raises ValueError if there is none."""
        if self.version is not None:
            return Version(text=self.version)
        for value in (self.string, self.bool_, self.int_):
            if value is not None:
                return value
        raise ValueError("an attribute without a value")


class _Counters(msgspec.Struct, frozen=True, kw_only=True):
    counters: _Amounts
    counter_set: str = msgspec.field(name="counterSet", default="")
    name: str = ""


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    attributes: dict[str, _Attribute] = {}
    capacity: _Amounts = {}
    consumes: tuple[_Counters, ...] = msgspec.field(name="consumesCounters", default=())


def parse_devices(slices: Mapping[str, Mapping[str, Any]], node_name: str) -> Mapping[str, Device]:
    """Returns the devices by name, in the order of the slices. Slices of other programs and malformed devices are omitted.

    slices: name -> ResourceSlice of any version of the API.
    """
    own = [slices[name] for name in sorted(slices, key=_order) if is_slice_of(node_name, name)]
    sets = {each.name: each for each in _counter_sets(own)}
    found = (device for each in own for device in _devices(each, sets))
    return {device.name: device for device in found}


def _order(name: str) -> tuple[int, str]:
    return len(name), name


def _counter_sets(slices: Iterable[Mapping[str, Any]]) -> Iterator[CounterSet]:
    for each in _items(slices, "sharedCounters"):
        try:
            found = msgspec.convert(each, type=_Counters)
            yield CounterSet(name=found.name, counters=_numbers(found.counters))
        except _MALFORMED:
            continue


def _devices(slice_: Mapping[str, Any], sets: Mapping[str, CounterSet]) -> Iterator[Device]:
    for each in _items([slice_], "devices"):
        try:
            yield _device(str(each["name"]), msgspec.convert(each.get("basic", each), type=_Content), sets)
        except (*_MALFORMED, KeyError):
            continue


def _items(slices: Iterable[Mapping[str, Any]], field: str) -> Iterator[Mapping[str, Any]]:
    for each in slices:
        spec = each.get("spec")
        items = spec.get(field) if isinstance(spec, Mapping) else None
        yield from (item for item in (items if isinstance(items, list) else ()) if isinstance(item, Mapping))


def _device(name: str, content: _Content, sets: Mapping[str, CounterSet]) -> Device:
    """Raises ValueError, and KeyError if an attribute or a counter set is missing."""
    attributes = {key: each.value for key, each in content.attributes.items()}
    kind = DeviceKind(str(attributes["type"]))
    uuid = GpuUuid(str(attributes["uuid" if kind is DeviceKind.GPU else "parentUUID"]))
    match = _GPU.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is not a device of this driver")
    number = int(match[1])
    consumed = content.consumes[0] if content.consumes else None
    counters = {} if consumed is None else _numbers(consumed.counters)
    return Device(
        name=name,
        kind=kind,
        gpu=Gpu(index=number, uuid=uuid, minor=number, model="", memory_bytes=None, compute=None, address=None),
        attributes=attributes,
        capacity=_numbers(content.capacity),
        placement=_placement(counters) if kind is DeviceKind.MIG else None,
        counter_set=None if consumed is None else sets[consumed.counter_set],
        counters=counters,
    )


def _placement(counters: Mapping[str, int]) -> Placement | None:
    """The memory slices of a MIG device that is created on demand; None for one that exists, which consumes no counters."""
    slices = sorted(int(match[1]) for name in counters if (match := _MEMORY_SLICE.fullmatch(name)))
    return Placement(start=slices[0], size=len(slices)) if slices else None


def _numbers(amounts: _Amounts) -> Mapping[str, int]:
    return {name: each.number for name, each in amounts.items()}
