"""USB devices. Source: kernel Documentation/ABI/stable/sysfs-bus-usb, USB 2.0 specification table 9-8."""

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
from nfd_lite.sources.pci import select_classes, select_fields
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.host.root import HostRoot

DEVICE = "usb.device"
FIELDS = ("class", "vendor", "device", "serial")
_FOLDER = "/sys/bus/usb/devices"
_FILES = {"class": "bDeviceClass", "vendor": "idVendor", "device": "idProduct", "serial": "serial"}
_IDS = frozenset({"class", "vendor", "device"})
_CLASS_BY_INTERFACE = "00"


def read_devices(scan: ScanContext) -> ReadResult:
    """Reads one instance for each device. A device whose interfaces define the class has one instance for each interface."""
    reader = PartialReader()
    # Names with a colon are interfaces, which sysfs lists in the same folder.
    names = [name for name in scan.root.entries(_FOLDER) if ":" not in name]
    devices = [device for name in names for device in _read_device(reader, scan.root, f"{_FOLDER}/{name}")]
    return reader.result(instances(DEVICE, tuple(devices)))


def _read_device(reader: PartialReader, root: HostRoot, folder: str) -> list[dict[str, str]]:
    previous = len(reader.reasons)
    device = read_attribute_files(reader, root, folder, _FILES)
    device |= {name: device[name].lower() for name in _IDS & device.keys()}
    if "device" not in device or len(reader.reasons) > previous:
        return []  # incomplete ids would make a wrong label
    if device.get("class") != _CLASS_BY_INTERFACE:
        return [device]
    return [device | {"class": name} for name in _read_interface_classes(reader, root, folder)]


def _read_interface_classes(reader: PartialReader, root: HostRoot, folder: str) -> tuple[str, ...]:
    nothing: tuple[str, ...] = ()
    entries = reader.try_read(lambda: root.entries(folder), nothing)
    files = {entry: f"{entry}/bInterfaceClass" for entry in entries if ":" in entry}
    return tuple(name.lower() for name in read_attribute_files(reader, root, folder, files).values())


def label_devices(features: Features, settings: SourceSettings) -> Labels:
    fields = select_fields(settings.usb_device_label_fields, FIELDS, default=("class", "vendor", "device"))
    selected = select_classes(features.instances.get(DEVICE, ()), settings.usb_device_class_whitelist)
    names = ("_".join(device.get(field, "") for field in fields) for device in selected)
    return true_labels({f"usb-{name}.present": True for name in names})


USB = (
    FeatureCollector(
        name=DEVICE,
        read=read_devices,
        labels=label_devices,
        owns=("usb-",),
        declared=(
            LabelDeclaration(
                key="usb-<fields>.present",
                value="`true`. `<fields>` are those in `sources.usb.deviceLabelFields`: class, vendor and device by default",
                source=f"{_FOLDER}/*/bDeviceClass, idVendor, idProduct and serial",
                presence="for each USB device whose class is in `sources.usb.deviceClassWhitelist`",
            ),
        ),
    ),
)
