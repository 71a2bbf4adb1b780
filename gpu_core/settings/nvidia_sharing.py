"""Parses the section `sharing` of NVIDIA's config file.

Source: k8s-device-plugin README, "Shared Access to GPUs". `rename` and `devices` are part of NVIDIA's format and are supported here.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gpu_core.domain.resources import ResourceName, resource_name
from gpu_core.domain.selection import DeviceList, parse_devices
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy, advertised_name

Value = TypeVar("Value")


class SharedResourceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of sharing.*.resources. devices: `all`, a count, or a list (domain.selection.parse_devices)."""

    name: str
    replicas: Annotated[int, Meta(ge=1)]
    rename: str | None = None
    devices: Any = "all"


class StrategySection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sharing.timeSlicing or sharing.mps."""

    resources: list[SharedResourceEntry]
    rename_by_default: bool = False
    fail_requests_greater_than_one: bool | None = None


class SharingSection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The section sharing. At most one strategy may have resources with more than one replica."""

    time_slicing: StrategySection | UnsetType = UNSET
    mps: StrategySection | UnsetType = UNSET


def parse_sharing(section: SharingSection, problems: list[str]) -> Sharing | None:
    """Parses the section; None if nothing is shared. Appends every problem, with its path, to `problems`."""
    strategies = {
        "sharing.timeSlicing": (SharingStrategy.TIME_SLICING, section.time_slicing),
        "sharing.mps": (SharingStrategy.MPS, section.mps),
    }
    found = {
        path: sharing
        for path, (strategy, entry) in strategies.items()
        if entry is not UNSET and (sharing := _parse_strategy(path, strategy, entry, problems)).resources
    }
    if len(found) > 1:
        problems.append(
            f"{' and '.join(found)}: both share GPUs. A node supports only one sharing strategy. Remove one of the two."
        )
    return next(iter(found.values()), None)


def parse_or_report(path: str, parse: Callable[[], Value], problems: list[str]) -> Value | None:
    """Returns the result of a parser. If the parser raises ValueError, appends the problem with its path and returns None."""
    try:
        return parse()
    except ValueError as error:
        problems.append(f"{path}: {error}")
        return None


def _parse_strategy(path: str, strategy: SharingStrategy, section: StrategySection, problems: list[str]) -> Sharing:
    if not section.resources:
        problems.append(f"{path}.resources: is empty. Name the resources to share.")
    entries = {f"{path}.resources[{index}]": entry for index, entry in enumerate(section.resources)}
    found = [(where, _parse_entry(where, entry, section, problems)) for where, entry in entries.items()]
    valid = [(where, shared) for where, shared in found if shared is not None]
    for index, (where, other) in enumerate(valid):
        problems += (
            f"{where}{conflict}" for _, one in valid[:index] if (conflict := _conflict(one, other)) is not None
        )
    fail = section.fail_requests_greater_than_one
    return Sharing(
        strategy=strategy,
        resources=tuple(shared for _, shared in valid if shared.replicas > 1 or strategy is SharingStrategy.MPS),
        fail_requests_greater_than_one=strategy is SharingStrategy.MPS if fail is None else fail,
    )


def _parse_entry(
    path: str, entry: SharedResourceEntry, of: StrategySection, problems: list[str]
) -> SharedResource | None:
    resource = parse_or_report(f"{path}.name", lambda: resource_name(entry.name), problems)
    devices = parse_or_report(f"{path}.devices", lambda: parse_devices(entry.devices), problems)
    advertised = _parse_advertised(path, resource, entry, of, problems)
    if resource is None or devices is None or advertised is None:
        return None
    return SharedResource(resource=resource, replicas=entry.replicas, advertised=advertised, devices=devices)


def _parse_advertised(
    path: str, resource: ResourceName | None, entry: SharedResourceEntry, of: StrategySection, problems: list[str]
) -> ResourceName | None:
    rename = entry.rename
    if rename is not None:
        return parse_or_report(f"{path}.rename", lambda: resource_name(rename), problems)
    if resource is None:
        return None
    return parse_or_report(
        f"{path}.name", lambda: advertised_name(resource, None, by_default=of.rename_by_default), problems
    )


def _conflict(one: SharedResource, other: SharedResource) -> str | None:
    """Why the second of two entries conflicts with the first."""
    if one.resource == other.resource:
        return next(iter(_overlap(one, other)), None)
    names: set[ResourceName] = {one.resource, one.advertised} & {other.resource, other.advertised}
    return f": another shared resource has the name {min(names)}" if names else None


def _overlap(one: SharedResource, other: SharedResource) -> Iterator[str]:
    """A device belongs to one entry only, so entries with the same name need lists that do not overlap."""
    if not isinstance(one.devices, DeviceList) or not isinstance(other.devices, DeviceList):
        yield (
            f".name: another entry has the name {one.resource}."
            " Entries with the same name need lists of different devices."
        )
        return
    for ref in other.devices.devices:
        if any(ref.overlaps(each) for each in one.devices.devices):
            yield f".devices: another entry for {one.resource} already shares {ref}"
