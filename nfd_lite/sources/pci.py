"""PCI functions as features and presence labels. Read by node_core.host.pci."""

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
from node_core.host.pci import DEVICES, PciFunction, read_pci

DEVICE = "pci.device"
FIELDS = ("class", "vendor", "device", "subsystem_vendor", "subsystem_device")
_IOMMU = {name: name for name in ("iommu_group/type", "iommu/intel-iommu/version")}


def read_devices(look: Look) -> Found:
    """Simulated functions are appended. Without a PCI bus, and none simulated, the feature is absent."""
    gathering, scan, extra = Gathering(), read_pci(look.root), look.host.extra_pci
    if not scan.functions and not extra and not look.root.exists(DEVICES):
        return Features()
    gathering.reasons.extend(f"PCI function {skipped.address}: {skipped.reason}" for skipped in scan.skipped)
    real = tuple(
        describe(function) | read_present(gathering, look.root, f"{DEVICES}/{function.address}", _IOMMU)
        for function in scan.functions
    )
    return gathering.found(instances(DEVICE, real + extra))


def describe(function: PciFunction) -> dict[str, str]:
    """The class is cut to its first four digits: base class and subclass."""
    found = {
        "class": function.class_code[:4],
        "vendor": function.vendor,
        "device": function.device,
        "subsystem_vendor": function.subsystem_vendor,
        "subsystem_device": function.subsystem_device,
    }
    total = function.sriov_totalvfs
    return found if total is None else found | {"sriov_totalvfs": str(total)}


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
