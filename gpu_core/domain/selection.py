"""Selects devices of a node: by index, UUID, PCI address, product or MIG profile. PURE.

Source for indexes and UUIDs: k8s-device-plugin README, "Shared Access to GPUs". The other forms are extensions of this project. A
reference to a GPU in MIG mode matches all its MIG devices.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from gpu_core.domain.mig import label_form
from node_core.domain.labels import sanitize
from node_core.domain.pattern import matches_pattern

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ADDRESS = r"(?:(?P<domain>[0-9a-fA-F]{4,8}):)?(?P<place>[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])"


class DeviceForm(StrEnum):
    """How the config file names a device."""

    GPU_INDEX = "GPU index"
    MIG_INDEX = "MIG index"
    GPU_UUID = "GPU UUID"
    MIG_UUID = "MIG UUID"
    PCI_ADDRESS = "PCI address"
    PRODUCT = "product"
    PROFILE = "profile"


_FORMS: tuple[tuple[DeviceForm, re.Pattern[str]], ...] = (
    (DeviceForm.GPU_INDEX, re.compile(r"[0-9]{1,4}")),
    (DeviceForm.MIG_INDEX, re.compile(r"[0-9]{1,4}:[0-9]{1,4}")),
    (DeviceForm.GPU_UUID, re.compile(rf"GPU-{_UUID}")),
    (DeviceForm.MIG_UUID, re.compile(rf"MIG-{_UUID}|MIG-GPU-{_UUID}/[0-9]{{1,4}}/[0-9]{{1,4}}")),
    (DeviceForm.PCI_ADDRESS, re.compile(_ADDRESS)),
    (DeviceForm.PRODUCT, re.compile(r"product=.+")),
    (DeviceForm.PROFILE, re.compile(r"profile=.+")),
)


class SelectableDevice(Protocol):
    """A GPU or a MIG device. index: `0`, or `0:1` for a MIG device. Only MIG devices have a profile and instances."""

    @property
    def index(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def gpu(self) -> str: ...
    @property
    def address(self) -> str | None: ...
    @property
    def model(self) -> str: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def gpu_instance(self) -> int | None: ...
    @property
    def compute_instance(self) -> int | None: ...


_MATCHERS: Mapping[DeviceForm, Callable[[str, SelectableDevice], bool]] = {
    DeviceForm.GPU_INDEX: lambda text, device: device.index.partition(":")[0] == text,
    DeviceForm.MIG_INDEX: lambda text, device: device.index == text,
    DeviceForm.GPU_UUID: lambda text, device: device.gpu.lower() == text.lower(),
    DeviceForm.MIG_UUID: lambda text, device: text.lower() in (device.uuid.lower(), _legacy_uuid(device).lower()),
    DeviceForm.PCI_ADDRESS: lambda text, device: device.address == text,
    DeviceForm.PRODUCT: lambda text, device: is_product(text, device.model),
    DeviceForm.PROFILE: lambda text, device: device.profile is not None and is_profile(text, device.profile),
}


class DeviceRef(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a list of devices.

    text: `3`, `0:1` (GPU:slot), `GPU-<uuid>`, `MIG-<uuid>` or `MIG-GPU-<uuid>/<gi>/<ci>`, `0000:17:00.0`, or a pattern for the product
    or the profile. Numbers have no leading zeros. Addresses have the form of sysfs.
    """

    form: DeviceForm
    text: str

    def __str__(self) -> str:
        """The item as written in the config file."""
        return f"{self.form.value}={self.text}" if self.form in (DeviceForm.PRODUCT, DeviceForm.PROFILE) else self.text

    def matches(self, device: SelectableDevice) -> bool:
        return _MATCHERS[self.form](self.text, device)

    def overlaps(self, other: "DeviceRef") -> bool:
        """Whether the texts alone show that both match the same device."""
        indexes = {DeviceForm.GPU_INDEX, DeviceForm.MIG_INDEX}
        if {self.form, other.form} == indexes:
            return self.text.partition(":")[0] == other.text.partition(":")[0]
        return self == other


class AllDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Every device of the resource."""


class DeviceCount(msgspec.Struct, frozen=True, kw_only=True):
    """The first devices of the resource, at least 1."""

    count: int


class DeviceList(msgspec.Struct, frozen=True, kw_only=True):
    """These devices, each once, in the order of the file."""

    devices: tuple[DeviceRef, ...]


DeviceSelection = AllDevices | DeviceCount | DeviceList


Selectable = TypeVar("Selectable", bound=SelectableDevice)


def select_devices(selection: DeviceSelection, devices: Sequence[Selectable]) -> Sequence[Selectable]:
    """Returns the devices of a resource that the selection matches. devices: in NVML's order."""
    match selection:
        case AllDevices():
            return devices
        case DeviceCount(count=count):
            return devices[:count]
        case listed:
            return [device for device in devices if any(ref.matches(device) for ref in listed.devices)]


def is_product(pattern: str, model: str) -> bool:
    """Matches the model as NVML reports it, or as the label `nvidia.com/gpu.product` contains it."""
    return any(matches_pattern(pattern, name) for name in (model, sanitize(model)))


def is_profile(pattern: str, profile: str) -> bool:
    """Matches the profile as nvidia-smi prints it, `1g.10gb+me`, or as resource names contain it, `1g.10gb.me`."""
    return any(matches_pattern(pattern, name) for name in (profile, label_form(profile)))


def parse_devices(value: object) -> DeviceSelection:
    """Parses `all`, a count or a list from YAML. Raises ValueError with the reason."""
    if value == "all":
        return AllDevices()
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} is not valid. Use a number from 1 up, a list of devices, or all.")
        return DeviceCount(count=value)
    if isinstance(value, list):
        return DeviceList(devices=parse_device_list(value))
    raise ValueError(f"{value!r} is not valid. Use a number from 1 up, a list of devices, or all.")


def parse_device_list(values: Iterable[object]) -> tuple[DeviceRef, ...]:
    """Parses a list of at least one device, without duplicates. Raises ValueError."""
    found: dict[DeviceRef, None] = {}
    for device in map(parse_device, values):
        if device in found:
            raise ValueError(f"the list contains '{device}' twice")
        found[device] = None
    if not found:
        raise ValueError("the list is empty. Name at least one device.")
    return tuple(found)


def parse_device(value: object) -> DeviceRef:
    """Parses one item of a list: an index as a number or text, or another form as text. Raises ValueError."""
    if isinstance(value, int | str):
        text = str(value)
        for form, pattern in _FORMS:
            if found := pattern.fullmatch(text):
                return DeviceRef(form=form, text=_normalize(form, found))
    raise ValueError(
        f"{value!r} does not name a device. Use a GPU index (0), a MIG index (0:1), GPU-<uuid>, MIG-<uuid>,"
        " a PCI address (0000:17:00.0), product=<pattern> or profile=<pattern>."
    )


def _normalize(form: DeviceForm, found: re.Match[str]) -> str:
    text = found[0]
    match form:
        case DeviceForm.GPU_INDEX | DeviceForm.MIG_INDEX:
            return ":".join(str(int(part)) for part in text.split(":"))
        case DeviceForm.PCI_ADDRESS:
            return f"{int(found['domain'] or '0', 16):04x}:{found['place'].lower()}"
        case DeviceForm.PRODUCT | DeviceForm.PROFILE:
            return text.partition("=")[2]
        case _:
            return text


def _legacy_uuid(device: SelectableDevice) -> str:
    """The UUID of a MIG device with drivers before 470."""
    return f"MIG-{device.gpu}/{device.gpu_instance}/{device.compute_instance}"
