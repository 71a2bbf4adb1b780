"""Network interfaces. Source: kernel Documentation/ABI/testing/sysfs-class-net, Documentation/PCI/pci-iov-howto.rst."""

import errno
from functools import partial

from nfd_lite.sources.api import (
    PREFIX,
    Found,
    Gathering,
    Look,
    Part,
    Source,
    SourceSettings,
    instances,
    is_positive,
    no_labels,
    true_labels,
)
from node_core.domain.features import Attributes, Features
from node_core.domain.labels import Labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

DEVICE = "network.device"
VIRTUAL = "network.virtual"
_FOLDER = "/sys/class/net"
_COMMON = {"operstate": "operstate", "speed": "speed", "mtu": "mtu"}
_SRIOV = {"sriov_numvfs": "device/sriov_numvfs", "sriov_totalvfs": "device/sriov_totalvfs"}
# How a driver says that an interface, for example one that is down, has no such thing.
_NO_ANSWER = frozenset({errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP})


def read_physical(look: Look) -> Found:
    return _read(look, DEVICE, physical=True)


def read_virtual(look: Look) -> Found:
    return _read(look, VIRTUAL, physical=False)


def _read(look: Look, feature: str, *, physical: bool) -> Found:
    names = look.once(_interfaces)
    if names is None:
        return Features()
    gathering, files = Gathering(), (_COMMON | _SRIOV if physical else _COMMON)
    found = tuple(
        _read_interface(gathering, look.root, name, files) for name, real in names.items() if real is physical
    )
    return gathering.found(instances(feature, found))


def _interfaces(look: Look) -> dict[str, bool] | None:
    """Interface -> whether a device is behind it; None where there is no networking at all."""
    names = look.root.entries(_FOLDER)
    if not names and not look.root.shows(_FOLDER):
        return None
    # bonding_masters is a control file beside the interfaces.
    return {name: look.root.shows(f"{_FOLDER}/{name}/device") for name in names if name != "bonding_masters"}


def _read_interface(gathering: Gathering, root: HostRoot, name: str, files: Attributes) -> dict[str, str]:
    paths = {attribute: f"{_FOLDER}/{name}/{file}" for attribute, file in files.items()}
    texts = {attribute: gathering.attempt(partial(_answer, root, path), None) for attribute, path in paths.items()}
    return {"name": name, **{attribute: text for attribute, text in texts.items() if text}}


def _answer(root: HostRoot, path: str) -> str | None:
    try:
        return root.text(path)
    except HostReadError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_ANSWER:
            return None
        raise


def label_sriov(features: Features, _settings: SourceSettings) -> Labels:
    devices = features.instances.get(DEVICE, ())
    wanted = {"network-sriov.capable": "sriov_totalvfs", "network-sriov.configured": "sriov_numvfs"}
    return true_labels(
        {label: any(is_positive(device.get(name, "")) for device in devices) for label, name in wanted.items()}
    )


NETWORK = Source(
    name="network",
    parts=(
        Part(name=DEVICE, read=read_physical, labels=label_sriov, owns=(f"{PREFIX}network-sriov.",)),
        Part(name=VIRTUAL, read=read_virtual, labels=no_labels),
    ),
)
