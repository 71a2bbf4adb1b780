"""Sharing of GPUs: which resource is given out how many times, by which means, and under what name.

Source: k8s-device-plugin README, "Shared Access to GPUs". What a configuration file says of it becomes these values once, so labels and
devices cannot disagree on what is shared.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node_core.domain.resources import ResourceName, resource_name

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class SharingStrategy(StrEnum):
    """By which means; the value that labels say."""

    TIME_SLICING = "time-slicing"
    MPS = "mps"


class DeviceForm(StrEnum):
    """How a file names one device."""

    GPU_INDEX = "GPU index"
    MIG_INDEX = "MIG index"
    GPU_UUID = "GPU UUID"
    MIG_UUID = "MIG UUID"


_FORMS: tuple[tuple[DeviceForm, re.Pattern[str]], ...] = (
    (DeviceForm.GPU_INDEX, re.compile(r"[0-9]{1,4}")),
    (DeviceForm.MIG_INDEX, re.compile(r"[0-9]{1,4}:[0-9]{1,4}")),
    (DeviceForm.GPU_UUID, re.compile(rf"GPU-{_UUID}")),
    (DeviceForm.MIG_UUID, re.compile(rf"MIG-{_UUID}|MIG-GPU-{_UUID}/[0-9]{{1,4}}/[0-9]{{1,4}}")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRef:
    """One device. text: `3`, `0:1` (GPU:slot), `GPU-<uuid>`, `MIG-<uuid>` or `MIG-GPU-<uuid>/<gi>/<ci>`; numbers without leading zeros."""

    form: DeviceForm
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllDevices:
    """Every device of the resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCount:
    """Any so many devices of the resource, 1 at least."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceList:
    """These devices, each once, in the file's order."""

    devices: tuple[DeviceRef, ...]


DeviceSelection = AllDevices | DeviceCount | DeviceList


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedResource:
    """One resource that is shared. replicas: how often each device is given out, 2 at least. advertised: the name that pods ask for."""

    resource: ResourceName
    replicas: int
    advertised: ResourceName
    devices: DeviceSelection = AllDevices()

    @property
    def renamed(self) -> bool:
        return self.advertised != self.resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What is shared on a node: at least one resource, none of them twice.

    fail_requests_greater_than_one: a container that asks for more than one replica is refused, as it would not get more of a GPU for it.
    """

    strategy: SharingStrategy
    resources: tuple[SharedResource, ...]
    fail_requests_greater_than_one: bool

    def of(self, resource: str) -> SharedResource | None:
        """How a resource is shared, by its exact name before any renaming; None where it is not."""
        return next((each for each in self.resources if each.resource == resource), None)


def advertised_name(resource: ResourceName, rename: str | None, *, by_default: bool) -> ResourceName:
    """The name that pods ask for. rename: what the file says, or None. by_default: renameByDefault. Raises ValueError."""
    if rename is not None:
        return resource_name(rename)
    return resource_name(f"{resource}.shared") if by_default else resource


def parse_devices(value: object) -> DeviceSelection:
    """`all`, a count, or a list of indexes and UUIDs, as YAML gives them. Raises ValueError with the reason."""
    if value == "all":
        return AllDevices()
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} devices are none: give a count of 1 or more, a list, or all")
        return DeviceCount(count=value)
    if isinstance(value, list):
        return DeviceList(devices=_distinct(parse_device(item) for item in value))
    raise ValueError(f"{value!r} is neither all, nor a count, nor a list of GPU and MIG indexes or UUIDs")


def parse_device(value: object) -> DeviceRef:
    """One item of a list: an index as a number or text, or a UUID. Raises ValueError."""
    if isinstance(value, int | str):
        text = str(value)
        for form, pattern in _FORMS:
            if pattern.fullmatch(text):
                return DeviceRef(form=form, text=_plain(form, text))
    raise ValueError(f"{value!r} is no GPU index, no MIG index (0:1), no GPU-<uuid> and no MIG-<uuid>")


def _plain(form: DeviceForm, text: str) -> str:
    indexes = form in (DeviceForm.GPU_INDEX, DeviceForm.MIG_INDEX)
    return ":".join(str(int(part)) for part in text.split(":")) if indexes else text


def _distinct(devices: Iterable[DeviceRef]) -> tuple[DeviceRef, ...]:
    found: dict[DeviceRef, None] = {}
    for device in devices:
        if device in found:
            raise ValueError(f"{device.text!r} is there twice")
        found[device] = None
    if not found:
        raise ValueError("an empty list shares nothing: name devices, or write all")
    return tuple(found)
