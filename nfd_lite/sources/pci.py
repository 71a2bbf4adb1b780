"""PCI functions as features and presence labels. Source: kernel Documentation/ABI/testing/sysfs-bus-pci."""

from collections.abc import Iterable, Sequence

from nfd_lite.sources.api import (
    FeatureCollector,
    PartialReader,
    ReadResult,
    ScanContext,
    SourceSettings,
    instances,
    read_attribute_files,
    true_labels,
)
from node_core.domain.features import Attributes, Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.pci import DEVICES, ID_FIELDS, read_ids
from node_core.host.root import HostRoot

DEVICE = "pci.device"
_OPTIONAL = {name: name for name in ("sriov_totalvfs", "iommu_group/type", "iommu/intel-iommu/version")}


def read_devices(scan: ScanContext) -> ReadResult:
    """Reads all PCI functions and appends the simulated ones. The feature is absent if there is no PCI bus and nothing is simulated."""
    reader, root, extra = PartialReader(), scan.root, scan.host.extra_pci
    addresses = root.entries(DEVICES)
    if not extra and not root.check_exists(DEVICES):
        return Features()
    devices = (_read_function(reader, scan, f"{DEVICES}/{address}") for address in addresses)
    return reader.result(instances(DEVICE, (*filter(None, devices), *extra)))


def _read_function(reader: PartialReader, scan: ScanContext, folder: str) -> dict[str, str] | None:
    """Reads one function. Returns None if the function cannot be read or was removed during the scan.

    The ids are cached as long as the sysfs folder exists: the kernel creates a new folder for a card that replaces another one.
    """
    stamp = scan.root.stamp(folder)
    try:
        ids = scan.host.cache.get_or_read(folder, stamp, lambda: _read_short_ids(scan.root, folder))
    except HostReadError as error:
        if scan.root.check_exists(folder):
            reader.reasons.append(str(error))
        return None
    driver = scan.root.link_name(f"{folder}/driver")
    optional = read_attribute_files(reader, scan.root, folder, _OPTIONAL)
    return ids | optional | ({"driver": driver} if driver else {})


def _read_short_ids(root: HostRoot, folder: str) -> dict[str, str]:
    """Reads the ids, with the class cut to its first four digits: base class and subclass."""
    ids = read_ids(root, folder)
    return ids | {"class": ids["class"][:4]}


def label_devices(features: Features, settings: SourceSettings) -> Labels:
    fields = select_fields(settings.pci_device_label_fields, ID_FIELDS, default=("class", "vendor"))
    selected = select_classes(features.instances.get(DEVICE, ()), settings.pci_device_class_whitelist)
    names: dict[str, bool] = {}
    for device in selected:
        if not device.keys() >= set(fields):
            continue  # an empty part would make a wrong label
        name = "_".join(device[field] for field in fields)
        names[f"pci-{name}.present"] = True
        names[f"pci-{name}.sriov.capable"] = names.get(f"pci-{name}.sriov.capable", False) or "sriov_totalvfs" in device
    return true_labels(names)


def select_fields(requested: Iterable[str], known: Sequence[str], *, default: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the requested fields in the order of `known`; the default if none of them is known."""
    requested = frozenset(requested)
    return tuple(field for field in known if field in requested) or default


def select_classes(devices: Iterable[Attributes], prefixes: Iterable[str]) -> tuple[Attributes, ...]:
    """Returns the devices whose class begins with one of the prefixes. Prefixes are case-insensitive."""
    lowered = tuple(prefix.lower() for prefix in prefixes)
    return tuple(device for device in devices if device.get("class", "").startswith(lowered))


PCI = (
    FeatureCollector(
        name=DEVICE,
        read=read_devices,
        labels=label_devices,
        owns=("pci-",),
        declared=(
            LabelDeclaration(
                key="pci-<fields>.present",
                value="`true`. `<fields>` are those in `sources.pci.deviceLabelFields`: class and vendor by default",
                source=f"{DEVICES}/*/class, vendor and other ids",
                presence="for each PCI function whose class is in `sources.pci.deviceClassWhitelist`",
            ),
            LabelDeclaration(
                key="pci-<fields>.sriov.capable",
                value="`true`",
                source=f"{DEVICES}/*/sriov_totalvfs",
                presence="for each such PCI function that supports SR-IOV",
            ),
        ),
    ),
)
