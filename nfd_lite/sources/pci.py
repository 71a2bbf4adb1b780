"""PCI functions as features and presence labels. Source: kernel Documentation/ABI/testing/sysfs-bus-pci."""

from collections.abc import Iterable, Sequence

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    Source,
    SourceSettings,
    instances,
    read_present,
    true_labels,
)
from node_core.domain.features import Attributes, Features
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.pci import DEVICES
from node_core.host.root import HostRoot

DEVICE = "pci.device"
FIELDS = ("class", "vendor", "device", "subsystem_vendor", "subsystem_device")
_DIGITS = {"class": 6} | dict.fromkeys(FIELDS[1:], 4)
_HEX = frozenset("0123456789abcdef")
_OPTIONAL = {name: name for name in ("sriov_totalvfs", "iommu_group/type", "iommu/intel-iommu/version")}


def read_devices(look: Look) -> Found:
    """Simulated functions are appended. Without a PCI bus, and none simulated, the feature is absent."""
    gathering, root, extra = Gathering(), look.root, look.host.extra_pci
    addresses = root.entries(DEVICES)
    if not addresses and not extra and not root.shows(DEVICES):
        return Features()
    found = (_read_function(gathering, look, f"{DEVICES}/{address}") for address in addresses)
    return gathering.found(instances(DEVICE, (*filter(None, found), *extra)))


def _read_function(gathering: Gathering, look: Look, folder: str) -> dict[str, str] | None:
    """None for a function that is broken, with its reason noted, and for one that vanished meanwhile.

    A function keeps its ids as long as its folder is there: a card that is put in its place gets a folder of its own.
    """
    mark = look.root.mark(folder)
    try:
        ids = look.host.memory.keep(folder, mark, lambda: read_ids(look.root, folder))
    except HostReadError as error:
        if look.root.shows(folder):
            gathering.reasons.append(str(error))
        return None
    return ids | read_present(gathering, look.root, folder, _OPTIONAL)


def read_ids(root: HostRoot, folder: str) -> dict[str, str]:
    """Lower-case hex without 0x. The class is cut to its first four digits: base class and subclass."""
    ids = {field: _parse_id(f"{folder}/{field}", root.text(f"{folder}/{field}"), _DIGITS[field]) for field in FIELDS}
    return ids | {"class": ids["class"][:4]}


def _parse_id(path: str, text: str | None, digits: int) -> str:
    if text is None:
        raise HostReadError(f"{path} is missing")
    number = text.lower().removeprefix("0x")
    if len(number) != digits or not _HEX.issuperset(number):
        raise HostReadError(f"{path} holds {text[:40]!r}, not a hex number of {digits} digits")
    return number


def label_devices(features: Features, settings: SourceSettings) -> Labels:
    fields = select_fields(settings.pci_device_label_fields, FIELDS, default=("class", "vendor"))
    chosen = select_classes(features.instances.get(DEVICE, ()), settings.pci_device_class_whitelist)
    names: dict[str, bool] = {}
    for device in chosen:
        name = "_".join(device.get(field, "") for field in fields)
        names[f"pci-{name}.present"] = True
        names[f"pci-{name}.sriov.capable"] = names.get(f"pci-{name}.sriov.capable", False) or "sriov_totalvfs" in device
    return true_labels(names)


def select_fields(wanted: Iterable[str], known: Sequence[str], *, default: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted fields in their canonical order; the default when none of them is known."""
    asked = frozenset(wanted)
    return tuple(field for field in known if field in asked) or default


def select_classes(devices: Iterable[Attributes], prefixes: Iterable[str]) -> tuple[Attributes, ...]:
    """Devices whose class begins with one of these prefixes, in any case."""
    lowered = tuple(prefix.lower() for prefix in prefixes)
    return tuple(device for device in devices if device.get("class", "").startswith(lowered))


PCI = Source(
    name="pci",
    parts=(Part(name=DEVICE, read=read_devices, labels=label_devices, owns=(f"{PREFIX}pci-",)),),
)
