"""The section `sharing` of NVIDIA's config file: its shape, everything that can be wrong with it, and the value that it becomes.

Source: k8s-device-plugin README, "Shared Access to GPUs". `rename` and `devices` are in its format too, and work here.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from node_core.domain.resources import ResourceName, resource_name
from node_core.domain.selection import DeviceList, parse_devices
from node_core.domain.sharing import SharedResource, SharingStrategy, advertised_name

MAX_REPLICAS = 1000
"""Of one device. A kubelet takes no list of devices beyond 4 MiB, and sharing ends long before that to make sense."""


class ReplicatedResource(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of sharing.*.resources. devices: `all`, a count, or a list (domain.selection.parse_devices)."""

    name: str
    replicas: Annotated[int, Meta(ge=1, le=MAX_REPLICAS)]
    rename: str | None = None
    devices: Any = "all"


class Replicated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sharing.timeSlicing or sharing.mps."""

    resources: list[ReplicatedResource]
    rename_by_default: bool = False
    fail_requests_greater_than_one: bool | None = None


class SharingSection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sharing. A way of sharing whose resources all have one replica shares nothing; at most one may share something."""

    time_slicing: Replicated | UnsetType = UNSET
    mps: Replicated | UnsetType = UNSET


def sharing_ways(section: SharingSection) -> Iterator[tuple[SharingStrategy, Replicated]]:
    if section.time_slicing is not UNSET:
        yield SharingStrategy.TIME_SLICING, section.time_slicing
    if section.mps is not UNSET:
        yield SharingStrategy.MPS, section.mps


def to_shared(entry: ReplicatedResource, of: Replicated) -> SharedResource:
    """Raises ValueError."""
    resource = resource_name(entry.name)
    return SharedResource(
        resource=resource,
        replicas=entry.replicas,
        advertised=advertised_name(resource, entry.rename, by_default=of.rename_by_default),
        devices=parse_devices(entry.devices),
    )


def sharing_problems(section: SharingSection) -> Iterator[str]:
    """Everything that is wrong with a section and that types alone do not say, each with its path."""
    for strategy, replicated in sharing_ways(section):
        yield from _replicated_problems(_path(strategy), replicated)
    active = [_path(strategy) for strategy, replicated in sharing_ways(section) if _shares(replicated)]
    if len(active) > 1:
        yield f"{' and '.join(active)}: both share GPUs; a node shares in one way only, so leave one of them out"


def refusal(path: str, parse: Callable[[], object]) -> Iterator[str]:
    """What a parser has against a value, if anything."""
    try:
        parse()
    except ValueError as error:
        yield f"{path}: {error}"


def _path(strategy: SharingStrategy) -> str:
    return "sharing.timeSlicing" if strategy is SharingStrategy.TIME_SLICING else "sharing.mps"


def _shares(replicated: Replicated) -> bool:
    return any(each.replicas > 1 for each in replicated.resources)


def _replicated_problems(path: str, replicated: Replicated) -> Iterator[str]:
    if not replicated.resources:
        yield f"{path}.resources: is empty: name the resources to share"
    found = [
        list(_entry_problems(f"{path}.resources[{index}]", entry, replicated))
        for index, entry in enumerate(replicated.resources)
    ]
    yield from itertools.chain(*found)
    sound = [
        (f"{path}.resources[{index}]", to_shared(entry, replicated))
        for index, (entry, problems) in enumerate(zip(replicated.resources, found, strict=True))
        if not problems
    ]
    for (_, one), (where, other) in itertools.combinations(sound, 2):
        if (problem := _clash(one, other)) is not None:
            yield f"{where}{problem}"


def _clash(one: SharedResource, other: SharedResource) -> str | None:
    """Why the later of two entries cannot stand beside the earlier one."""
    if one.resource == other.resource:
        return _overlap(one, other)
    names: set[ResourceName] = {one.resource, one.advertised} & {other.resource, other.advertised}
    return f": {min(names)} is the name of another shared resource already" if names else None


def _overlap(one: SharedResource, other: SharedResource) -> str | None:
    """Each device is shared in one way, so two ways need lists that do not overlap."""
    if not isinstance(one.devices, DeviceList) or not isinstance(other.devices, DeviceList):
        return f".name: {one.resource} is there more than once: then each entry needs a list of its own devices"
    both = next((ref for ref in other.devices.devices if any(ref.overlaps(it) for it in one.devices.devices)), None)
    return None if both is None else f".devices: {both} is shared by another entry for {one.resource} already"


def _entry_problems(path: str, entry: ReplicatedResource, of: Replicated) -> Iterator[str]:
    yield from refusal(f"{path}.name", lambda: resource_name(entry.name))
    if entry.rename is not None:
        yield from refusal(f"{path}.rename", lambda: resource_name(entry.rename or ""))
    elif of.rename_by_default and not list(refusal("", lambda: resource_name(entry.name))):
        yield from refusal(f"{path}.name", lambda: advertised_name(resource_name(entry.name), None, by_default=True))
    yield from refusal(f"{path}.devices", lambda: parse_devices(entry.devices))
