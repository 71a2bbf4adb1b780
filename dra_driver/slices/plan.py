"""Plans the ResourceSlices of the node's pool: which device is in which slice. PURE.

Source: Kubernetes API, limits of ResourceSlice; KEP-4815: from Kubernetes 1.35 counters have their own slices.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from dra_driver.devices.model import Attribute, CounterSet, Device, Version
from dra_driver.names import DRIVER
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.taints import DeviceTaint

MAX_DEVICES = 128
MAX_TAINTED_DEVICES = 64
"""Maximum devices of a slice in which devices can have taints or counters."""
MAX_COUNTER_SETS = 8
MAX_NODE_NAME = 200
"""A longer name of a node is shortened in the names of its slices, which have at most 253 characters."""

Spec = Mapping[str, Any]
Specs = Mapping[str, Spec]
"""Name of a ResourceSlice -> its spec without the generation of the pool."""
Taints = Mapping[str, tuple[DeviceTaint, ...]]
Item = TypeVar("Item")


def plan_slices(devices: Sequence[Device], taints: Taints, node_name: str, features: SliceFeatures) -> Specs:
    """Returns the slices of the pool, in a stable order. Without devices there are no slices.

    Without counters, a scheduler could allocate devices that overlap: then MIG devices that are created on demand are not offered.
    Without taints, a scheduler could allocate a device that is not healthy: then the device is not offered until its taints are gone.
    """
    offered = [
        device
        for device in devices
        if (features.has_counters or device.placement is None) and (features.has_taints or not taints.get(device.name))
    ]
    groups = (
        [*_own_slices(offered, features)] if features.has_own_counter_slices else [*_shared_slices(offered, features)]
    )
    pool = {"name": node_name, "resourceSliceCount": len(groups)}
    return {
        slice_name(node_name, number): {
            "driver": DRIVER,
            "nodeName": node_name,
            "pool": pool,
            **_content(counter_sets, members, taints, features),
        }
        for number, (counter_sets, members) in enumerate(groups)
    }


def slice_name(node_name: str, number: int) -> str:
    """Returns the name of a slice: equal after a restart, and different on each node."""
    if len(node_name) > MAX_NODE_NAME:
        digest = hashlib.sha256(node_name.encode()).hexdigest()[:16]
        node_name = f"{node_name[:MAX_NODE_NAME]}-{digest}".replace(".-", "-")
    return f"{node_name}-{DRIVER}-{number}"


def is_slice_of(node_name: str, name: str) -> bool:
    """Whether a slice has a name of this driver, and not one that another driver of the same name generated."""
    number = name.rpartition("-")[2]
    return number.isdecimal() and number.isascii() and name == slice_name(node_name, int(number))


_Group = tuple[Sequence[CounterSet], Sequence[Device]]


def _own_slices(devices: Sequence[Device], features: SliceFeatures) -> Iterable[_Group]:
    sets = _counter_sets(devices) if features.has_counters else []
    yield from ((chunk, ()) for chunk in _chunks(sets, MAX_COUNTER_SETS))
    yield from (((), chunk) for chunk in _chunks(devices, _limit(features)))


def _shared_slices(devices: Sequence[Device], features: SliceFeatures) -> Iterable[_Group]:
    """Until Kubernetes 1.34, a device consumes counters of its own slice: one slice for each GPU with counters."""
    sets = _counter_sets(devices) if features.has_counters else []
    for counter_set in sets:
        yield [counter_set], [device for device in devices if device.counter_set == counter_set]
    others = [device for device in devices if device.counter_set not in sets]
    yield from (((), chunk) for chunk in _chunks(others, _limit(features)))


def _limit(features: SliceFeatures) -> int:
    return MAX_TAINTED_DEVICES if features.has_taints or features.has_counters else MAX_DEVICES


def _counter_sets(devices: Iterable[Device]) -> list[CounterSet]:
    return list({device.counter_set.name: device.counter_set for device in devices if device.counter_set}.values())


def _chunks(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _content(
    counter_sets: Sequence[CounterSet], devices: Sequence[Device], taints: Taints, features: SliceFeatures
) -> Spec:
    sets = [{"name": each.name, "counters": _quantities(each.counters)} for each in counter_sets]
    rendered = [_device(device, taints.get(device.name, ()), features) for device in devices]
    return {name: value for name, value in (("sharedCounters", sets), ("devices", rendered)) if value}


def _device(device: Device, taints: Sequence[DeviceTaint], features: SliceFeatures) -> Spec:
    content: dict[str, Any] = {
        "attributes": {name: _attribute(value) for name, value in device.attributes.items()},
        "capacity": _quantities(device.capacity),
    }
    if features.has_counters and device.counter_set:
        counters = _quantities(device.counters)
        content["consumesCounters"] = [{"counterSet": device.counter_set.name, "counters": counters}]
    if taints:
        content["taints"] = [_taint(taint) for taint in taints]
    return {"name": device.name, **({"basic": content} if features.version == "v1beta1" else content)}


def _attribute(value: Attribute) -> Spec:
    match value:
        case Version(text=text):
            return {"version": text}
        case bool():
            return {"bool": value}
        case int():
            return {"int": value}
        case str():
            return {"string": value}


def _quantities(amounts: Mapping[str, int]) -> Spec:
    return {name: {"value": str(amount)} for name, amount in amounts.items()}


def _taint(taint: DeviceTaint) -> Spec:
    return {"key": taint.key, **({"value": taint.value} if taint.value else {}), "effect": taint.effect.value}
