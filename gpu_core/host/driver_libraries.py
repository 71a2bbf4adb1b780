"""Finds the libraries of an NVIDIA driver below a root, and the names by which programs load them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from gpu_core.host.driver_root import LIBRARY_FOLDERS, DriverRoot, find_libraries
from gpu_core.host.elf import elf_machine
from node_core.errors import HostReadError

DRIVER_LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
"""Libraries by which a driver is located. The names of their files contain the driver version."""
PLATFORM_STEMS = frozenset({"libnvidia-egl-gbm", "libnvidia-egl-wayland", "libnvidia-egl-wayland2", "libnvidia-nvvm70"})
"""Libraries of the driver whose names contain their own version instead of the driver version."""
SHARED_STEMS = frozenset(
    {"libEGL", "libGL", "libGLESv1_CM", "libGLESv2", "libGLX", "libGLdispatch", "libOpenCL", "libOpenGL"}
    | {"libnvidia-api", "libnvidia-egl-xcb", "libnvidia-egl-xlib"}
)
"""Libraries that images often contain too."""

_SUBFOLDERS = ("", "vdpau", "gbm")
_NAME = re.compile(r"(?:lib[\w.+-]+|nvidia-drm_gbm)\.so(?:\.[\w.]+)?")
_VERSION = re.compile(r"\.so\.(\d{3,4}(?:\.\d{1,4}){1,3})$")


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """path: below the driver root, links resolved. folder: the folder in a container.

    names: below folder. First the name of the file, then the names of links, the longest first: `libcuda.so.550.54.15`,
    `libcuda.so.1`, `libcuda.so`; `vdpau/libvdpau_nvidia.so.1`.
    """

    path: str
    folder: str
    names: tuple[str, ...]

    @property
    def stem(self) -> str:
        return _stem(self.path)


class DriverLocation(msgspec.Struct, frozen=True, kw_only=True):
    """The library by which a driver was located. version: `550.54.15`; None if the file name has none. machine: as in `uname -m`.

    library_dirs: see find_libraries.
    """

    root: DriverRoot
    path: str
    version: str | None
    machine: str
    library_dirs: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The place of the library's folder."""
        return self.root.place(str(PurePosixPath(self.path).parent))


def locate_driver(base: Path, loaded: str | None = None, library_dirs: tuple[str, ...] = ()) -> DriverLocation | None:
    """Locates the driver below a root; None without a driver.

    loaded: the version of the loaded driver. Of several drivers, the one with this version is used, otherwise the first one.
    """
    versioned = (f"{name.removesuffix('1')}{loaded}" for name in DRIVER_LIBRARIES) if loaded else ()
    found = (
        location
        for name in (*versioned, *DRIVER_LIBRARIES)
        for root, path in find_libraries(base, name, library_dirs)
        if (location := _locate(root, path, library_dirs)) is not None
    )
    first = next(found, None)
    if first is None or loaded in (None, first.version):
        return first
    return next((location for location in found if location.version == loaded), first)


def read_libraries(location: DriverLocation) -> tuple[tuple[Library, ...], tuple[str, ...]]:
    """The driver's 64-bit libraries, sorted by path, and a sentence for each folder that cannot be read.

    Of two versions of a library, the one in the folder of the location is used, or the one with links. Links to the library of another
    driver are names of the library of this driver.
    """
    names: dict[str, set[str]] = {}
    problems: list[str] = []
    for folder in _folders(location):
        try:
            for path, name in _entries(location.root, folder):
                names.setdefault(path, set()).add(name)
        except HostReadError as error:
            problems.append(f"{error}.")
    own = PurePosixPath(location.path).parent
    wanted = sorted(
        (path for path in names if _is_wanted(location, path)),
        key=lambda path: (own not in PurePosixPath(path).parents[:2], len(names[path]) == 1),
    )
    first = {_stem(path): path for path in reversed(wanted)}
    for path, others in names.items():
        version = _VERSION.search(path)
        if version is not None and version[1] != location.version and _stem(path) in first:
            names[first[_stem(path)]] |= {name for name in others if not path.endswith(f"/{name}")}
    return tuple(_library(location.root, path, names[path]) for path in sorted(first.values())), tuple(problems)


def _stem(path: str) -> str:
    return PurePosixPath(path).name.partition(".so")[0]


def _locate(root: DriverRoot, path: str, library_dirs: tuple[str, ...]) -> DriverLocation | None:
    machine = elf_machine(root.base / path.lstrip("/"))
    if machine is None:
        return None
    version = _VERSION.search(path)
    return DriverLocation(
        root=root,
        path=path,
        version=version[1] if version else None,
        machine=machine,
        library_dirs=library_dirs,
    )


def _folders(location: DriverLocation) -> Iterable[str]:
    """Folders to search, without duplicates after resolving links. The folder of the location is the first."""
    folders = (location.folder, *location.library_dirs, *LIBRARY_FOLDERS)
    places = [f"{folder}/{sub}" for folder in folders for sub in _SUBFOLDERS]
    found: dict[str, str] = {}
    for place in places:
        path = location.root.resolve(place)
        if path is not None:
            found.setdefault(path, place)
    return found.values()


def _entries(root: DriverRoot, folder: str) -> Iterator[tuple[str, str]]:
    """Yields path and name of each library in a folder."""
    sub = PurePosixPath(folder).name
    prefix = f"{sub}/" if sub in _SUBFOLDERS else ""
    for name in root.names(folder):
        path = root.resolve(f"{folder}/{name}") if _NAME.fullmatch(name) else None
        if path is not None:
            yield path, prefix + name


def _is_wanted(location: DriverLocation, path: str) -> bool:
    name = PurePosixPath(path).name
    versioned = location.version is not None and name.endswith(f".so.{location.version}")
    if not versioned and _stem(path) not in PLATFORM_STEMS | SHARED_STEMS:
        return False
    return elf_machine(location.root.base / path.lstrip("/")) == location.machine


def _library(root: DriverRoot, path: str, names: set[str]) -> Library:
    real = PurePosixPath(path)
    sub = f"{real.parent.name}/" if real.parent.name in _SUBFOLDERS else ""
    folder = real.parent.parent if sub else real.parent
    others = sorted(names - {sub + real.name}, key=lambda name: (-len(name), name))
    return Library(path=path, folder=root.place(str(folder)), names=(sub + real.name, *others))
