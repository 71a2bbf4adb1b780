"""USB devices. Source: kernel Documentation/ABI/stable/sysfs-bus-usb, USB 2.0 specification table 9-8."""

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
from nfd_lite.sources.pci import select_classes, select_fields
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.host.root import HostRoot

DEVICE = "usb.device"
FIELDS = ("class", "vendor", "device", "serial")
_FOLDER = "/sys/bus/usb/devices"
_FILES = {"class": "bDeviceClass", "vendor": "idVendor", "device": "idProduct", "serial": "serial"}
_CLASS_BY_INTERFACE = "00"


def read_devices(look: Look) -> Found:
    """One instance for a device; one for each interface of a device that leaves the class to its interfaces."""
    gathering = Gathering()
    # Names with a colon are interfaces, which sysfs lists beside the devices.
    names = [name for name in look.root.entries(_FOLDER) if ":" not in name]
    found = [device for name in names for device in _read_device(gathering, look.root, f"{_FOLDER}/{name}")]
    return gathering.found(instances(DEVICE, tuple(found)))


def _read_device(gathering: Gathering, root: HostRoot, folder: str) -> list[dict[str, str]]:
    before = len(gathering.reasons)
    device = read_present(gathering, root, folder, _FILES)
    if "device" not in device or len(gathering.reasons) > before:
        return []  # half a device would be labelled as another one
    if device.get("class") != _CLASS_BY_INTERFACE:
        return [device]
    return [device | {"class": name} for name in _read_interface_classes(gathering, root, folder)]


def _read_interface_classes(gathering: Gathering, root: HostRoot, folder: str) -> tuple[str, ...]:
    nothing: tuple[str, ...] = ()
    entries = gathering.attempt(lambda: root.entries(folder), nothing)
    files = {entry: f"{entry}/bInterfaceClass" for entry in entries if ":" in entry}
    return tuple(read_present(gathering, root, folder, files).values())


def label_devices(features: Features, settings: SourceSettings) -> Labels:
    fields = select_fields(settings.usb_device_label_fields, FIELDS, default=("class", "vendor", "device"))
    chosen = select_classes(features.instances.get(DEVICE, ()), settings.usb_device_class_whitelist)
    names = ("_".join(device.get(field, "") for field in fields) for device in chosen)
    return true_labels({f"usb-{name}.present": True for name in names})


USB = Source(
    name="usb",
    parts=(Part(name=DEVICE, read=read_devices, labels=label_devices, owns=(f"{PREFIX}usb-",)),),
)
