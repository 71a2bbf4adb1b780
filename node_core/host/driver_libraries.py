"""The libraries of an NVIDIA driver below a root: which files, and by which names programs ask for them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from node_core.errors import HostReadError
from node_core.host.driver_root import LIBRARY_FOLDERS, DriverRoot, find_libraries
from node_core.host.elf import elf_machine

DRIVER_LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
"""Where one of these lies, the driver is; their files are named after its version."""
PLATFORM_STEMS = frozenset({"libnvidia-egl-gbm", "libnvidia-egl-wayland", "libnvidia-egl-wayland2", "libnvidia-nvvm70"})
"""Libraries with versions of their own that belong to every driver."""
SHARED_STEMS = frozenset(
    {"libEGL", "libGL", "libGLESv1_CM", "libGLESv2", "libGLX", "libGLdispatch", "libOpenCL", "libOpenGL"}
    | {"libnvidia-api", "libnvidia-egl-xcb", "libnvidia-egl-xlib"}
)
"""Libraries that images often bring themselves."""

_SUBFOLDERS = ("", "vdpau", "gbm")
_NAME = re.compile(r"(?:lib[\w.+-]+|nvidia-drm_gbm)\.so(?:\.[\w.]+)?")
_VERSION = re.compile(r"\.so\.(\d{3,4}(?:\.\d{1,4}){1,2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """path: below the driver root, links resolved. folder: of the driver's own root, as a container would have it.

    names: below folder, its own first, then those of links to it, the longest first: `libcuda.so.550.54.15`, `libcuda.so.1`,
    `libcuda.so`; `vdpau/libvdpau_nvidia.so.1`.
    """

    path: str
    folder: str
    names: tuple[str, ...]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).name.partition(".so")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The library that says where a driver is. version: `550.54.15`, None where its name does not say. machine: as of `uname -m`."""

    root: DriverRoot
    path: str
    version: str | None
    machine: str


def find_anchor(base: Path) -> Anchor | None:
    """The best place of a driver below a root; None where there is no driver."""
    found = (_anchor(root, path) for name in DRIVER_LIBRARIES for root, path in find_libraries(base, name))
    return next((anchor for anchor in found if anchor is not None), None)


def read_libraries(anchor: Anchor) -> tuple[tuple[Library, ...], tuple[str, ...]]:
    """The driver's 64-bit libraries in the order of their paths, and a sentence for each folder that cannot be read.

    Of two files of one name the one that lies beside the anchor counts, or else the first.
    """
    names: dict[str, set[str]] = {}
    problems: list[str] = []
    for folder in _folders(anchor):
        try:
            for path, name in _entries(anchor.root, folder):
                names.setdefault(path, set()).add(name)
        except HostReadError as error:
            problems.append(f"{error}.")
    wanted = [path for path in names if _is_wanted(anchor, path)]
    first = {PurePosixPath(path).name: path for path in reversed(wanted)}
    return tuple(_library(anchor.root, path, names[path]) for path in sorted(first.values())), tuple(problems)


def _anchor(root: DriverRoot, path: str) -> Anchor | None:
    machine = elf_machine(root.base / path.lstrip("/"))
    if machine is None:
        return None
    version = _VERSION.search(path)
    return Anchor(root=root, path=path, version=version[1] if version else None, machine=machine)


def _folders(anchor: Anchor) -> Iterable[str]:
    """Each folder once, by what it really is, and first the anchor's own, wherever it lies."""
    own = anchor.root.place(str(PurePosixPath(anchor.path).parent))
    places = [f"{folder}/{sub}" for folder in (own, *LIBRARY_FOLDERS) for sub in _SUBFOLDERS]
    found: dict[str, str] = {}
    for place in places:
        path = anchor.root.resolve(place)
        if path is not None:
            found.setdefault(path, place)
    return found.values()


def _entries(root: DriverRoot, folder: str) -> Iterator[tuple[str, str]]:
    """Path and name of each library in a folder."""
    sub = PurePosixPath(folder).name
    prefix = f"{sub}/" if sub in _SUBFOLDERS else ""
    for name in root.names(folder):
        path = root.resolve(f"{folder}/{name}") if _NAME.fullmatch(name) else None
        if path is not None:
            yield path, prefix + name


def _is_wanted(anchor: Anchor, path: str) -> bool:
    name = PurePosixPath(path).name
    versioned = anchor.version is not None and name.endswith(f".so.{anchor.version}")
    if not versioned and name.partition(".so")[0] not in PLATFORM_STEMS | SHARED_STEMS:
        return False
    return elf_machine(anchor.root.base / path.lstrip("/")) == anchor.machine


def _library(root: DriverRoot, path: str, names: set[str]) -> Library:
    real = PurePosixPath(path)
    sub = f"{real.parent.name}/" if real.parent.name in _SUBFOLDERS else ""
    folder = real.parent.parent if sub else real.parent
    others = sorted(names - {sub + real.name}, key=lambda name: (-len(name), name))
    return Library(path=path, folder=root.place(str(folder)), names=(sub + real.name, *others))
