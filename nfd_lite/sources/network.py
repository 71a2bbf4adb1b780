"""Network interfaces. Source: kernel Documentation/ABI/testing/sysfs-class-net, Documentation/PCI/pci-iov-howto.rst."""

import errno
from functools import partial

from nfd_lite.sources.api import (
    FeatureCollector,
    PartialReader,
    ReadResult,
    ScanContext,
    SourceSettings,
    instances,
    is_positive,
    true_labels,
)
from node_core.domain.features import Attributes, Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

DEVICE = "network.device"
VIRTUAL = "network.virtual"
_FOLDER = "/sys/class/net"
_COMMON = {"operstate": "operstate", "speed": "speed", "mtu": "mtu"}
_SRIOV = {"sriov_numvfs": "device/sriov_numvfs", "sriov_totalvfs": "device/sriov_totalvfs"}
# Errors that a driver returns for an attribute that the interface does not have, for example the speed of a link that is down.
_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP})


def read_interfaces(scan: ScanContext, feature: str, *, physical: bool) -> ReadResult:
    """Reads the interfaces that belong to a device (physical), or the other ones."""
    names = scan.once(_list_interfaces)
    if names is None:
        return Features()
    reader, files = PartialReader(), (_COMMON | _SRIOV if physical else _COMMON)
    devices = tuple(_read_interface(reader, scan.root, name, files) for name, real in names.items() if real is physical)
    return reader.result(instances(feature, devices))


def _list_interfaces(scan: ScanContext) -> dict[str, bool] | None:
    """Lists interface -> whether the interface belongs to a device. Returns None for a kernel without networking."""
    names = scan.root.entries(_FOLDER)
    if not names and not scan.root.check_exists(_FOLDER):
        return None
    # bonding_masters is a control file in the folder of the interfaces.
    return {name: scan.root.check_exists(f"{_FOLDER}/{name}/device") for name in names if name != "bonding_masters"}


def _read_interface(reader: PartialReader, root: HostRoot, name: str, files: Attributes) -> dict[str, str]:
    paths = {attribute: f"{_FOLDER}/{name}/{file}" for attribute, file in files.items()}
    texts = {
        attribute: reader.try_read(partial(_read_supported, root, path), None) for attribute, path in paths.items()
    }
    return {"name": name, **{attribute: text for attribute, text in texts.items() if text}}


def _read_supported(root: HostRoot, path: str) -> str | None:
    try:
        return root.text(path)
    except HostReadError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NOT_SUPPORTED:
            return None
        raise


def label_sriov(features: Features, _settings: SourceSettings) -> Labels:
    devices = features.instances.get(DEVICE, ())
    names = {"network-sriov.capable": "sriov_totalvfs", "network-sriov.configured": "sriov_numvfs"}
    return true_labels(
        {label: any(is_positive(device.get(name, "")) for device in devices) for label, name in names.items()}
    )


NETWORK = (
    FeatureCollector(
        name=DEVICE,
        read=partial(read_interfaces, feature=DEVICE, physical=True),
        labels=label_sriov,
        owns=("network-sriov.",),
        declared=(
            LabelDeclaration(
                key="network-sriov.capable",
                value="`true`",
                source=f"{_FOLDER}/*/device/sriov_totalvfs",
                presence="with a network device that supports SR-IOV",
            ),
            LabelDeclaration(
                key="network-sriov.configured",
                value="`true`",
                source=f"{_FOLDER}/*/device/sriov_numvfs",
                presence="with a network device that has virtual functions",
            ),
        ),
    ),
    FeatureCollector(name=VIRTUAL, read=partial(read_interfaces, feature=VIRTUAL, physical=False)),
)
