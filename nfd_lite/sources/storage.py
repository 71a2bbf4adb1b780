"""Block devices. Source: kernel Documentation/ABI/stable/sysfs-block."""

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
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.host.root import HostRoot

BLOCK = "storage.block"
_FOLDER = "/sys/block"
_QUEUE = {name: name for name in ("dax", "rotational", "nr_zones", "zoned")}
_NOT_DISKS = ("sr", "fd", "mtdblock", "ubiblock", "rbd")
"""Names of devices that are not disks of the node: optical and floppy drives, flash memory of firmware, volumes of Ceph."""


def read_block(scan: ScanContext) -> ReadResult:
    reader, names = PartialReader(), scan.root.entries(_FOLDER)
    if not names and not scan.root.check_exists(_FOLDER):
        return Features()
    devices = tuple(_read_device(reader, scan.root, name) for name in names)
    return reader.result(instances(BLOCK, devices))


def _read_device(reader: PartialReader, root: HostRoot, name: str) -> dict[str, str]:
    queue = read_attribute_files(reader, root, f"{_FOLDER}/{name}/queue", _QUEUE)
    is_disk = reader.try_read(lambda: _is_disk(root, name), otherwise=False)
    return {"name": name, **queue, **({"disk": "true"} if is_disk else {})}


def _is_disk(root: HostRoot, name: str) -> bool:
    """Returns whether a block device belongs to a device of the node and has a medium.

    Loop, RAM, zram, device-mapper and RAID devices belong to no device. The size of a card reader without a card is 0.
    """
    folder = f"{_FOLDER}/{name}"
    return (
        not name.startswith(_NOT_DISKS) and root.check_exists(f"{folder}/device") and root.text(f"{folder}/size") != "0"
    )


def label_block(features: Features, _settings: SourceSettings) -> Labels:
    """Kernels report devices that are not disks as not rotational, so only disks count."""
    disks = (device for device in features.instances.get(BLOCK, ()) if device.get("disk") == "true")
    return true_labels({"storage-nonrotationaldisk": any(disk.get("rotational") == "0" for disk in disks)})


STORAGE = (
    FeatureCollector(
        name=BLOCK,
        read=read_block,
        labels=label_block,
        owns=("storage-nonrotationaldisk",),
        declared=(
            LabelDeclaration(
                key="storage-nonrotationaldisk",
                value="`true`",
                source=f"{_FOLDER}/*/queue/rotational",
                presence="with a disk that does not rotate",
            ),
        ),
    ),
)
