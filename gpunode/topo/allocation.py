"""Selects the devices that a container would get, with the code that serves the kubelet's GetPreferredAllocation. PURE."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from device_plugin.allocate.links import weight_between
from device_plugin.allocate.preferred import Method, select_method, select_preferred_ids
from device_plugin.allocate.replicas import refusal_reason
from device_plugin.devices import Device, DeviceId, Plan, Policy, ResourceOffer
from gpu_core.domain.resources import GPU, ResourceName, resource_name
from gpu_core.domain.selection import DeviceRef, parse_device_list
from node_core.errors import NodeError, SettingsError
from node_core.schema import suggest

NOT_NAMED = "--available does not name it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The devices for a request of `size` devices.

    available: the devices to select from, in NVML's order. unavailable: the other devices of the resource, each with a reason.
    score: the sum of the link weights between the selected devices. left_score: the same for the available devices that remain.
    """

    resource: ResourceName
    size: int
    devices: tuple[Device, ...]
    available: tuple[Device, ...]
    unavailable: tuple[tuple[Device, str], ...]
    method: Method
    policy: Policy
    score: int
    left_score: int


def select_allocation(
    plan: Plan, size: int, resource: str | None, named: str | None, in_use: Mapping[str, str]
) -> Allocation:
    """named: the value of --available; None for all devices. in_use: id of a device -> the pod that has it, `namespace/name`.

    Raises SettingsError for names that the node does not have, and NodeError if the node does not have enough devices.
    """
    name = select_resource(plan, resource)
    offer = plan.resources[name]
    unavailable = _unavailable(offer, None if named is None else select_named(named, offer, name), in_use)
    available = tuple(device for device in offer.devices if device.id not in unavailable)
    devices = {device.id: device for device in offer.devices}
    if len(available) < size:
        count = f"{len(available)} of {len(devices)} {name} are available"
        why = _first_reason(unavailable, devices)
        raise NodeError(f"a request for {size} cannot be met: {count}{why}")
    ids = select_preferred_ids(offer, devices, [device.id for device in available], (), size)
    if (refusal := refusal_reason(offer, devices, ids)) is not None:
        raise NodeError(f"{name}: {refusal}")
    chosen = tuple(devices[DeviceId(id_)] for id_ in ids)
    return Allocation(
        resource=name,
        size=size,
        devices=chosen,
        available=available,
        unavailable=tuple((devices[id_], why) for id_, why in unavailable.items()),
        method=select_method(offer, available),
        policy=offer.policy,
        score=link_score(chosen),
        left_score=link_score([device for device in available if device not in chosen]),
    )


def link_score(devices: Sequence[Device]) -> int:
    return sum(itertools.starmap(weight_between, itertools.combinations(devices, 2)))


def select_resource(plan: Plan, text: str | None) -> ResourceName:
    """Returns the named resource, or nvidia.com/gpu, or the only resource. Raises NodeError and SettingsError."""
    if not plan.resources:
        raise NodeError("the node advertises no devices", hint=" ".join(plan.notes) or None)
    if text is None:
        return GPU if GPU in plan.resources else _only(plan)
    try:
        name = resource_name(text)
    except ValueError as error:
        raise SettingsError([f"--resource: {error}"]) from error
    if name not in plan.resources:
        near, known = suggest(name, plan.resources), ", ".join(plan.resources)
        raise SettingsError([f"--resource: the node does not have {name}{near}. The node has {known}."])
    return name


def select_named(text: str, offer: ResourceOffer, name: ResourceName) -> frozenset[DeviceId]:
    """Returns the devices of a text such as `0,1,GPU-9ad2...`: ids of the kubelet, indexes, UUIDs, PCI addresses. Raises SettingsError."""
    found: set[DeviceId] = set()
    problems: list[str] = []
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            ids = {each.id for each in offer.devices if each.id == word} or _matching(offer, word)
        except ValueError as error:
            problems.append(f"--available: {error}")
            continue
        if not ids:
            problems.append(f"--available: no device of {name} matches {word}")
        found |= ids
    if problems:
        raise SettingsError(problems)
    return frozenset(found)


def _matching(offer: ResourceOffer, word: str) -> set[DeviceId]:
    """Raises ValueError."""
    refs: Sequence[DeviceRef] = parse_device_list([word])
    return {each.id for each in offer.devices if any(ref.matches(each) for ref in refs)}


def _only(plan: Plan) -> ResourceName:
    if len(plan.resources) > 1:
        raise SettingsError([f"--resource: is missing. The node has {', '.join(plan.resources)}."])
    return next(iter(plan.resources))


def _unavailable(
    offer: ResourceOffer, named: frozenset[DeviceId] | None, in_use: Mapping[str, str]
) -> dict[DeviceId, str]:
    """Returns the devices that the request cannot get, and why. Devices that --available names may be in use."""

    def reasons(device: Device) -> Iterator[str]:
        if device.why_unhealthy is not None:
            yield f"unhealthy: {device.why_unhealthy}"
        if named is not None and device.id not in named:
            yield NOT_NAMED
        if named is None and (pod := in_use.get(device.id)) is not None:
            yield f"in use by the pod {pod}"

    found = {device.id: next(reasons(device), None) for device in offer.devices}
    return {id_: why for id_, why in found.items() if why is not None}


def _first_reason(unavailable: Mapping[DeviceId, str], devices: Mapping[DeviceId, Device]) -> str:
    for id_, why in unavailable.items():
        more = f", and {len(unavailable) - 1} more" if len(unavailable) > 1 else ""
        return f": {devices[id_].name} is not available ({why}){more}"
    return ""
