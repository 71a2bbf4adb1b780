"""What of an NVIDIA driver a container needs, found below a driver root. Source: README of the driver, "Installed Components"."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import TypeVar

from node_core.errors import HostReadError
from node_core.host.driver_libraries import Anchor, Library, find_anchor, read_libraries
from node_core.host.driver_root import DriverFile, DriverRoot, Layout
from node_core.host.root import HostRoot
from node_core.host.tegra import TegraFiles, read_tegra
from node_core.host.wsl import read_wsl

BINARIES = (
    "nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server",
    "nvidia-imex", "nvidia-imex-ctl",
)  # fmt: skip
CONFIGS = (
    "glvnd/egl_vendor.d/10_nvidia.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "egl/egl_external_platform.d/09_nvidia_wayland2.json",
    "egl/egl_external_platform.d/20_nvidia_xcb.json",
    "egl/egl_external_platform.d/20_nvidia_xlib.json",
    "nvidia/nvoptix.bin",
    "X11/xorg.conf.d/10-nvidia.conf",
    "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
    "OpenCL/vendors/nvidia.icd",
)
VULKAN = (
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
)
SOCKETS = ("nvidia-persistenced/socket", "nvidia-fabricmanager/socket")
UDEV = "/run/udev"
CUFILE = "/etc/cufile.json"
MPS_PIPES = "/tmp/nvidia-mps"  # noqa: S108  # nosec B108 # where the MPS control daemon has them
FIRMWARE_PATH = "/sys/module/firmware_class/parameters/path"
OS_RELEASE = "/proc/sys/kernel/osrelease"

_BIN = {
    "/usr/local/sbin": "/usr/local/sbin",
    "/usr/local/bin": "/usr/local/bin",
    "/usr/sbin": "/usr/sbin",
    "/usr/bin": "/usr/bin",
    "/sbin": "/usr/sbin",
    "/bin": "/usr/bin",
    "/opt/bin": "/usr/bin",
    "/run/current-system/sw/bin": "/usr/bin",
}
"""Where programs are -> where a container looks for them."""
_CONFIG = {"/etc": "/etc", "/usr/local/share": "/usr/local/share", "/usr/share": "/usr/share", "/share": "/usr/share"}
"""Where configuration is -> where a container looks for it."""
_XORG = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
_XORG_FOLDERS = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")

_T = TypeVar("_T")
IsWanted = Callable[[int], bool]
"""Whether a file of this st_mode is what was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFiles:
    """A driver below a root, as one look found it.

    layout: None where there is no driver. version, machine: see Anchor. wsl: the Windows driver's files, instead of all others. tegra: what
    a Jetson's own lists name, None where there are none. gds: what GPUDirect Storage needs. problems: a sentence for each thing that
    could not be read.
    """

    layout: Layout | None = None
    version: str | None = None
    machine: str = "x86_64"
    libraries: tuple[Library, ...] = ()
    xorg: tuple[DriverFile, ...] = ()
    configs: tuple[DriverFile, ...] = ()
    binaries: tuple[DriverFile, ...] = ()
    firmware: tuple[DriverFile, ...] = ()
    sockets: tuple[DriverFile, ...] = ()
    gds: tuple[DriverFile, ...] = ()
    wsl: tuple[DriverFile, ...] = ()
    tegra: TegraFiles | None = None
    problems: tuple[str, ...] = ()


def read_driver_files(base: Path, host: HostRoot) -> DriverFiles:
    """base: the driver root as we see it. host: for /proc and /sys. Never fails: what cannot be read is a problem."""
    problems: list[str] = []
    root = DriverRoot(base)
    nothing: tuple[str, ...] = ()
    wsl = tuple(DriverFile(path=path, place=path) for path in _tried(lambda: read_wsl(root), problems, nothing))
    tegra = _tried(lambda: read_tegra(root), problems, None)
    anchor = find_anchor(base)
    if wsl or anchor is None:
        layout = Layout.WSL if wsl else Layout.TEGRA if tegra else None
        machine = "x86_64" if wsl else "aarch64"
        return DriverFiles(layout=layout, machine=machine, wsl=wsl, tegra=tegra, problems=tuple(problems))
    files = _read_driver(anchor, host, problems)
    return replace(files, tegra=tegra, problems=(*files.problems, *problems))


def _read_driver(anchor: Anchor, host: HostRoot, problems: list[str]) -> DriverFiles:
    libraries, unread = read_libraries(anchor)
    root, version = anchor.root, anchor.version
    no_files: tuple[DriverFile, ...] = ()
    folders = sorted({library.folder for library in libraries})
    return DriverFiles(
        layout=root.layout,
        version=version,
        machine=anchor.machine,
        libraries=libraries,
        xorg=tuple(_xorg(root, folders, version)),
        configs=(*_configs(root), *_vulkan(root, anchor.machine)),
        binaries=tuple(_binaries(root)),
        firmware=_tried(lambda: tuple(_firmware(root, host, version)), problems, no_files),
        sockets=tuple(_sockets(root)),
        gds=(*_first(root.search, [UDEV], stat.S_ISDIR), *_first(root.search, [CUFILE])),
        problems=unread,
    )


def _xorg(root: DriverRoot, folders: list[str], version: str | None) -> Iterator[DriverFile]:
    own = [
        f"{folder}/{xorg}"
        for folder in folders
        for xorg in ("nvidia/xorg", *(f"xorg/{each}" for each in _XORG_FOLDERS))
    ]
    others = [f"{folder}/{each}" for folder in _XORG for each in _XORG_FOLDERS]
    for name in ("nvidia_drv.so", f"libglxserver_nvidia.so.{version}"):
        yield from _first((root,), [f"{folder}/{name}" for folder in (*own, *others)])


def _configs(root: DriverRoot) -> Iterator[DriverFile]:
    for name, (folder, place) in product(CONFIGS, _CONFIG.items()):
        for found in _first(root.search, [f"{folder}/{name}"]):
            yield replace(found, place=f"{place}/{name}")


def _vulkan(root: DriverRoot, machine: str) -> Iterator[DriverFile]:
    for name in (*VULKAN, f"vulkan/icd.d/nvidia_icd.{machine}.json"):
        for found in _first(root.search, [f"{folder}/{name}" for folder in (*_CONFIG, "")]):
            yield replace(found, place=f"/etc/{name}")


def _binaries(root: DriverRoot) -> Iterator[DriverFile]:
    for name in BINARIES:
        for found in _first(root.search, [f"{folder}/{name}" for folder in _BIN], _is_program):
            yield replace(found, place=f"{_BIN[found.place.removesuffix(f'/{name}')]}/{name}")


def _firmware(root: DriverRoot, host: HostRoot, version: str | None) -> Iterator[DriverFile]:
    """The first folder that has some. Raises HostReadError."""
    release = host.text(OS_RELEASE) or "unknown"
    own = (host.text(FIRMWARE_PATH) or "").strip()
    usual = ("/lib/firmware/updates", "/lib/firmware")
    folders = [*([own] if own else []), *(f"{each}{sub}" for each in usual for sub in (f"/{release}", "")), "/firmware"]
    for each, folder in product(root.search, folders):
        names = [
            name
            for name in each.names(f"{folder}/nvidia/{version}")
            if name.startswith("gsp") and name.endswith(".bin")
        ]
        for name in names:
            for found in _first((each,), [f"{folder}/nvidia/{version}/{name}"]):
                yield replace(found, place=f"/lib/firmware/nvidia/{version}/{name}")
        if names:
            return


def _sockets(root: DriverRoot) -> Iterator[DriverFile]:
    """Containers may write to them, and others than root may write where they lie: none of them is anything else by a link."""
    for name in SOCKETS:
        for found in _first(root.search, [f"{folder}/{name}" for folder in ("/run", "/var/run")], stat.S_ISSOCK):
            if found.path.endswith(f"/{name}"):
                yield replace(found, place=f"/run/{name}")
    for found in _first(root.search, [MPS_PIPES], stat.S_ISDIR):
        if found.path.endswith(MPS_PIPES) and _is_of_the_root(root, found.path):
            yield found


def _is_of_the_root(root: DriverRoot, path: str) -> bool:
    """Whether a folder belongs to whom the root does: everybody may make one in /tmp, and its owner may put a link in its place."""
    try:
        return (root.base / path.lstrip("/")).lstat().st_uid == root.base.stat().st_uid
    except OSError:
        return False


def _first(roots: tuple[DriverRoot, ...], places: list[str], wanted: IsWanted = stat.S_ISREG) -> Iterator[DriverFile]:
    """The first place, in the first root that has one, with what is wanted; one or none."""
    for root, place in product(roots, places):
        path = root.resolve(place)
        if path is not None and wanted(_mode(root.base / path.lstrip("/"))):
            yield DriverFile(path=path, place=str(PurePosixPath(place)))
            return


def _tried(read: Callable[[], _T], problems: list[str], otherwise: _T) -> _T:
    try:
        return read()
    except HostReadError as error:
        problems.append(f"{error}.")
        return otherwise


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _is_program(mode: int) -> bool:
    return stat.S_ISREG(mode) and bool(mode & 0o111)
