"""Finds the files of an NVIDIA driver that a container needs. Source: README of the driver, "Installed Components"."""

import stat
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from gpu_core.host.driver_libraries import DriverLocation, Library, locate_driver, read_libraries
from gpu_core.host.driver_root import PROGRAM_FOLDERS, DriverFile, DriverRoot, Layout
from gpu_core.host.program_texts import find_texts
from gpu_core.host.tegra import TegraFiles, read_tegra
from gpu_core.host.wsl import read_wsl
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from node_core.values import replace

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
MPS_PIPES = "/tmp/nvidia-mps"  # noqa: S108  # nosec B108 # the default folder of the MPS control daemon
FIRMWARE_PATH = "/sys/module/firmware_class/parameters/path"
OS_RELEASE = "/proc/sys/kernel/osrelease"

_CONFIG = {"/etc": "/etc", "/usr/local/share": "/usr/local/share", "/usr/share": "/usr/share", "/share": "/usr/share"}
"""Folder of configuration below the driver root -> folder in a container."""
_XORG = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
_XORG_FOLDERS = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")

_T = TypeVar("_T")
ModeFilter = Callable[[int], bool]
"""Whether a file with this st_mode matches."""


class DriverFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a driver below a root.

    layout: None without a driver. version, machine: see DriverLocation. wsl: the files of the Windows driver, instead of all others.
    tegra: the files that the lists of a Jetson name; None without lists. gds: for GPUDirect Storage. problems: a sentence for each failed
    read.
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


def read_driver_files(
    base: Path, host: HostRoot, *, loaded: str | None = None, library_dirs: tuple[str, ...] = ()
) -> DriverFiles:
    """Finds the files. Never fails: a failed read becomes a problem.

    base: where the driver root is mounted. host: the root that contains /proc and /sys. loaded: the version of the loaded driver, which is
    used if the root contains several. library_dirs: additional folders of libraries below the driver root.
    """
    problems: list[str] = []
    root = DriverRoot(base)
    no_paths: tuple[str, ...] = ()
    wsl = tuple(DriverFile(path=path, place=path) for path in _read_or(no_paths, lambda: read_wsl(root), problems))
    tegra = _read_or(None, lambda: read_tegra(root), problems)
    location = locate_driver(base, loaded, library_dirs)
    if wsl or location is None:
        layout = Layout.WSL if wsl else Layout.TEGRA if tegra else None
        machine = "x86_64" if wsl else "aarch64"
        return DriverFiles(layout=layout, machine=machine, wsl=wsl, tegra=tegra, problems=tuple(problems))
    files = _read_driver(location, host, problems)
    return replace(files, tegra=tegra, problems=(*files.problems, *problems))


def _read_driver(location: DriverLocation, host: HostRoot, problems: list[str]) -> DriverFiles:
    libraries, unread = read_libraries(location)
    root, version = location.root, location.version
    no_files: tuple[DriverFile, ...] = ()
    folders = sorted({library.folder for library in libraries})
    return DriverFiles(
        layout=root.layout,
        version=version,
        machine=location.machine,
        libraries=libraries,
        xorg=tuple(_xorg(root, folders, version)),
        configs=(*_configs(root), *_vulkan(root, location.machine)),
        binaries=tuple(_binaries(location)),
        firmware=_read_or(no_files, lambda: tuple(_firmware(root, host, version)), problems),
        sockets=tuple(_sockets(root)),
        gds=(*_find_first(root.search, [UDEV], stat.S_ISDIR), *_find_first(root.search, [CUFILE])),
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
        yield from _find_first((root,), [f"{folder}/{name}" for folder in (*own, *others)])


def _configs(root: DriverRoot) -> Iterator[DriverFile]:
    for name, (folder, place) in product(CONFIGS, _CONFIG.items()):
        for found in _find_first(root.search, [f"{folder}/{name}"]):
            yield replace(found, place=f"{place}/{name}")


def _vulkan(root: DriverRoot, machine: str) -> Iterator[DriverFile]:
    for name in (*VULKAN, f"vulkan/icd.d/nvidia_icd.{machine}.json"):
        for found in _find_first(root.search, [f"{folder}/{name}" for folder in (*_CONFIG, "")]):
            yield replace(found, place=f"/etc/{name}")


def _binaries(location: DriverLocation) -> Iterator[DriverFile]:
    """The programs. Of several files with one name, the one that contains the driver's version is used, or the first one."""
    root, folders = location.root, _program_folders(location)
    for name in BINARIES:
        found = list(_find_all(root.search, [f"{folder}/{name}" for folder in folders], _is_program))
        if len(found) > 1 and location.version is not None:
            found.sort(key=lambda file: not _contains(root.base / file.path.lstrip("/"), str(location.version)))
        for file in found[:1]:
            folder = str(PurePosixPath(file.place).parent)
            yield replace(file, place=f"{PROGRAM_FOLDERS.get(folder, '/usr/bin')}/{name}")


def _program_folders(location: DriverLocation) -> list[str]:
    """The folders of programs next to the libraries, the usual folders, and the folders to which the usual nvidia-smi links."""
    libraries = [PurePosixPath("/", folder) for folder in (location.folder, *location.library_dirs)]
    near = [
        str(path)
        for each in libraries
        for path in (each.parent / "bin", each.parent.parent / "bin", each / "bin", each)
    ]
    smi = _find_all(
        (DriverRoot(location.root.base),), [f"{folder}/nvidia-smi" for folder in PROGRAM_FOLDERS], _is_program
    )
    return list(dict.fromkeys((*near, *PROGRAM_FOLDERS, *(str(PurePosixPath(file.path).parent) for file in smi))))


def _contains(path: Path, text: str) -> bool:
    try:
        return bool(find_texts(path, [text.encode()]))
    except OSError:
        return False


def _firmware(root: DriverRoot, host: HostRoot, version: str | None) -> Iterator[DriverFile]:
    """The firmware in the first folder that contains any. Raises HostReadError."""
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
            for found in _find_first((each,), [f"{folder}/nvidia/{version}/{name}"]):
                yield replace(found, place=f"/lib/firmware/nvidia/{version}/{name}")
        if names:
            return


def _sockets(root: DriverRoot) -> Iterator[DriverFile]:
    """Sockets and the MPS folder, which containers can write to. Ignores links, because users other than root can create them there."""
    for name in SOCKETS:
        for found in _find_first(root.search, [f"{folder}/{name}" for folder in ("/run", "/var/run")], stat.S_ISSOCK):
            if found.path.endswith(f"/{name}"):
                yield replace(found, place=f"/run/{name}")
    for found in _find_first(root.search, [MPS_PIPES], stat.S_ISDIR):
        if found.path.endswith(MPS_PIPES) and _has_owner_of_root(root, found.path):
            yield found


def _has_owner_of_root(root: DriverRoot, path: str) -> bool:
    """Whether a folder has the owner of the driver root. Any user can create a folder in /tmp and replace that folder by a link later."""
    try:
        return (root.base / path.lstrip("/")).lstat().st_uid == root.base.stat().st_uid
    except OSError:
        return False


def _find_first(
    roots: tuple[DriverRoot, ...], places: list[str], matches: ModeFilter = stat.S_ISREG
) -> Iterator[DriverFile]:
    """Yields the first matching file, or nothing."""
    return islice(_find_all(roots, places, matches), 1)


def _find_all(roots: tuple[DriverRoot, ...], places: list[str], matches: ModeFilter) -> Iterator[DriverFile]:
    """Yields each matching file once, with its first place."""
    known: set[str] = set()
    for root, place in product(roots, places):
        path = root.resolve(place)
        if path is not None and path not in known and matches(_mode(root.base / path.lstrip("/"))):
            known.add(path)
            yield DriverFile(path=path, place=str(PurePosixPath(place)))


def _read_or(default: _T, read: Callable[[], _T], problems: list[str]) -> _T:
    try:
        return read()
    except HostReadError as error:
        problems.append(f"{error}.")
        return default


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _is_program(mode: int) -> bool:
    return stat.S_ISREG(mode) and bool(mode & 0o111)
