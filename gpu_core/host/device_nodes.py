"""Reads the device nodes that containers with GPUs need.

Source: kernel Documentation/admin-guide/devices.rst; sysfs of DRM devices, `/sys/bus/pci/devices/<address>/drm/`.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from gpu_core.host.links import resolve_inside
from gpu_core.host.mig_caps import MigCaps, read_mig_caps
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.pci import DEVICES
from node_core.host.root import HostRoot

FOLDERS = ("/dev", "/dev/dri", "/dev/infiniband", "/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels")
BY_PATH = "/dev/dri/by-path"
_IN_DEV = ("nvidia", "dxg", "gdrdrv")
"""Prefixes of names in /dev."""


class HostNode(msgspec.Struct, frozen=True, kw_only=True):
    """A character device. mode: permission bits."""

    major: int
    minor: int
    mode: int
    gid: int = 0


ReadNode = Callable[[Path], HostNode | None]
"""Returns None if the path is not a character device."""


class DeviceNodes(msgspec.Struct, frozen=True, kw_only=True):
    """nodes: by path below the dev root, `/dev/nvidia0`. drm: paths of a GPU's DRM nodes. by_path: name of a link below BY_PATH -> path.

    caps: of MIG devices. problems: a sentence for each failed read.
    """

    nodes: Mapping[str, HostNode] = msgspec.field(default_factory=dict)
    drm: Mapping[PciAddress, tuple[str, ...]] = msgspec.field(default_factory=dict)
    by_path: Mapping[str, str] = msgspec.field(default_factory=dict)
    caps: MigCaps = msgspec.field(default_factory=MigCaps)
    problems: tuple[str, ...] = ()


def read_node(path: Path) -> HostNode | None:
    """Reads a node. Does not follow links."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    mode = stat.S_IMODE(status.st_mode)
    return HostNode(major=os.major(status.st_rdev), minor=os.minor(status.st_rdev), mode=mode, gid=status.st_gid)


def read_device_nodes(
    dev: HostRoot,
    host: HostRoot,
    *,
    addresses: Iterable[PciAddress] = (),
    others: Iterable[str] = (),
    read: ReadNode = read_node,
) -> DeviceNodes:
    """Reads the nodes. Never fails: a failed read becomes a problem.

    dev: the root that contains /dev. host: the root that contains /proc and /sys. addresses: of the GPUs. others: additional paths.
    """
    problems: list[str] = []
    paths = [*(path for folder in FOLDERS for path in _list_nodes(dev, folder, problems)), *others]
    found = {path: read(dev.path(path)) for path in paths}
    return DeviceNodes(
        nodes={path: node for path, node in found.items() if node is not None},
        drm={address: tuple(_drm(host, address, problems)) for address in addresses},
        by_path={name: f"/dev/dri/{target}" for name, target in _by_path(dev, problems)},
        caps=_caps(host, problems),
        problems=tuple(problems),
    )


def _names(root: HostRoot, folder: str, problems: list[str]) -> tuple[str, ...]:
    try:
        return root.entries(folder)
    except HostReadError as error:
        problems.append(f"{error}.")
        return ()


def _list_nodes(dev: HostRoot, folder: str, problems: list[str]) -> list[str]:
    """Ignores a folder that is a link to another place: the driver root may contain untrusted links."""
    if resolve_inside(dev.base, PurePosixPath(folder.lstrip("/"))) != dev.path(folder):
        return []
    names = _names(dev, folder, problems)
    return [f"{folder}/{name}" for name in names if folder != "/dev" or name.startswith(_IN_DEV)]


def _drm(host: HostRoot, address: PciAddress, problems: list[str]) -> list[str]:
    return [f"/dev/dri/{name}" for name in _names(host, f"{DEVICES}/{address}/drm", problems)]


def _by_path(dev: HostRoot, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yields name and target of the links to nodes in /dev/dri. Ignores other links."""
    for name in _names(dev, BY_PATH, problems):
        try:
            target = PurePosixPath(dev.path(f"{BY_PATH}/{name}").readlink())
        except OSError:
            continue
        if target.parent == PurePosixPath(".."):
            yield name, target.name


def _caps(host: HostRoot, problems: list[str]) -> MigCaps:
    try:
        return read_mig_caps(host)
    except HostReadError as error:
        problems.append(f"{error}.")
        return MigCaps()
