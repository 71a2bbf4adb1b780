"""Finds an NVIDIA driver's files below a root: `/` of a host, a mount of `/`, the root of a driver container, or a folder.

The content of a root is not trusted. Links are resolved as if the root were `/`. A link that leaves the root is rejected, so that a root
cannot cause files outside the root to be loaded or mounted.
"""

import platform
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath

import msgspec

from gpu_core.host.elf import elf_machine
from gpu_core.host.ld_cache import parse_ld_cache
from gpu_core.host.links import resolve_inside
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

LIBRARY_FOLDERS = (
    "usr/lib64",  # RHEL, SUSE, Amazon Linux; a library that a container runtime injected
    "usr/lib/x86_64-linux-gnu",  # Debian and Ubuntu, and so most k3s and RKE2 nodes
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/nvidia/current",  # Debian, where its alternatives are not set
    "usr/lib/aarch64-linux-gnu/nvidia/current",
    "lib64",  # the root is /home/kubernetes/bin/nvidia (GKE), /usr/local/nvidia or /opt/nvidia
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/nvidia/tesla",  # Bottlerocket before 2026
    "usr/lib64/nvidia",  # RPM Fusion
    "usr/lib",  # Arch; the root is /usr/local/glibc (Talos)
    "lib",  # the root is /run/opengl-driver (NixOS) or /usr/lib/wsl
    ".",  # the root is a folder of libraries
)
"""Below a driver root, in search order."""

DRIVER_CONTAINER = "run/nvidia/driver"
"""The root of a driver container, which the container mounts on the host. Searched first: nodes with a driver of their own have none."""

NESTED_ROOTS = (
    "home/kubernetes/bin/nvidia",  # GKE on Container-Optimized OS
    "usr/local/nvidia",  # where GKE mounts it in containers
    "var/lib/nvidia",  # Container-Optimized OS on a plain virtual machine
    "run/opengl-driver",  # NixOS
    "usr/local/glibc",  # Talos, its system extension
    "usr/lib/wsl",
    "opt/nvidia",
    "x86_64-bottlerocket-linux-gnu/sys-root",  # Bottlerocket
    "aarch64-bottlerocket-linux-gnu/sys-root",
)
"""Driver roots below the root of a host, searched after the folders of the host."""

PROGRAM_FOLDERS = {
    "/usr/local/sbin": "/usr/local/sbin",
    "/usr/local/bin": "/usr/local/bin",
    "/usr/sbin": "/usr/sbin",
    "/usr/bin": "/usr/bin",
    "/sbin": "/usr/sbin",
    "/bin": "/usr/bin",
    "/opt/bin": "/usr/bin",
    "/usr/libexec/nvidia/tesla/bin": "/usr/bin",
    "/run/current-system/sw/bin": "/usr/bin",
}
"""Folder of programs below the driver root -> folder in a container."""

LD_CACHE = "etc/ld.so.cache"
"""Searched after the folders, for a library in a custom folder."""

SMI_LINKS = ("usr/bin/nvidia-smi", "bin/nvidia-smi", "usr/local/bin/nvidia-smi", "opt/bin/nvidia-smi")
"""Searched last: links to a program next to which a vendor installed the libraries."""


class Layout(StrEnum):
    """The layout of a driver's files. FLAT: a folder with bin and lib64 or lib, as on GKE's Container-Optimized OS or in /opt/nvidia."""

    DISTRIBUTION = "distribution"
    DRIVER_CONTAINER = "driver-container"
    FLAT = "flat"
    NIXOS = "nixos"
    TALOS = "talos"
    WSL = "wsl"
    TEGRA = "tegra"


_NESTED_LAYOUTS = {
    DRIVER_CONTAINER: Layout.DRIVER_CONTAINER,
    "run/opengl-driver": Layout.NIXOS,
    "usr/local/glibc": Layout.TALOS,
    "usr/lib/wsl": Layout.WSL,
    "x86_64-bottlerocket-linux-gnu/sys-root": Layout.DISTRIBUTION,
    "aarch64-bottlerocket-linux-gnu/sys-root": Layout.DISTRIBUTION,
}


class DriverFile(msgspec.Struct, frozen=True, kw_only=True):
    """path: below the driver root, links resolved. place: the path in a container."""

    path: str
    place: str


class DriverRoot(msgspec.Struct, frozen=True):
    """base: where the root is mounted. nested: one of NESTED_ROOTS, or where SMI_LINKS lead, if the driver has its own root below base.

    A `place` is a path below the driver's own root. A `path` is a path below base. Both are absolute, as if that root were `/`.
    """

    base: Path
    nested: str = ""

    def resolve(self, place: str) -> str | None:
        """The path of a place, links resolved; None if the place does not exist or the path is not plain.

        Absolute links in a nested root are resolved below the nested root first, then below base.
        """
        inside = PurePosixPath(place.lstrip("/"))
        own = resolve_inside(self.base, PurePosixPath(self.nested)) if self.nested else None
        found = None if own is None else resolve_inside(own, inside)
        found = found or resolve_inside(self.base, self.nested / inside)
        path = None if found is None else f"/{found.relative_to(self.base).as_posix()}"
        return path if path is not None and is_plain(path) else None

    def read_link(self, place: str) -> str | None:
        """The target of a link at a place; None if there is no link."""
        folder = self.resolve(str(PurePosixPath(place).parent))
        try:
            return (
                None if folder is None else str((self.base / folder.lstrip("/") / PurePosixPath(place).name).readlink())
            )
        except OSError:
            return None

    def place(self, path: str) -> str:
        """The place of a path; the path itself if it is outside the driver's own root."""
        own = f"/{self.nested}/" if self.nested else "/"
        return f"/{path.removeprefix(own)}" if path.startswith(own) else path

    def names(self, place: str) -> tuple[str, ...]:
        """The sorted names in a folder; empty without a folder. Raises HostReadError."""
        path = self.resolve(place)
        return () if path is None else HostRoot(self.base).entries(path)

    @property
    def search(self) -> "tuple[DriverRoot, ...]":
        """The roots in which a driver's files are searched: the nested root, then base. A driver container has all files of its driver."""
        return (self, DriverRoot(self.base)) if self.nested not in ("", DRIVER_CONTAINER) else (self,)

    @property
    def layout(self) -> Layout:
        if self.nested:
            return _NESTED_LAYOUTS.get(self.nested, Layout.FLAT)
        return Layout.DISTRIBUTION if self.resolve("usr") else Layout.FLAT


def is_plain(path: str) -> bool:
    """Whether a path is safe to write in colon-separated lists, arguments, logs and JSON."""
    return path.isprintable() and ":" not in path


def is_in_container(path: str) -> bool:
    """Whether a path below the root of a host belongs to a driver container."""
    return path.startswith(f"/{DRIVER_CONTAINER}/")


def find_libraries(base: Path, name: str, library_dirs: Sequence[str] = ()) -> Iterator[tuple[DriverRoot, str]]:
    """Yields each path of a library with this name, in search order. library_dirs: additional folders below base, searched first."""
    yield from _find_in(DriverRoot(base), name, library_dirs)
    for nested in (DRIVER_CONTAINER, "", *NESTED_ROOTS):
        root = DriverRoot(base, nested)
        if not nested or root.resolve("") is not None:
            yield from _find_in(root, name, LIBRARY_FOLDERS)
    yield from ((DriverRoot(base), path) for path in _cached(DriverRoot(base), name))
    for prefix in _linked_roots(DriverRoot(base)):
        yield from _find_in(DriverRoot(base, prefix), name, LIBRARY_FOLDERS)


def find_loadable(base: Path, name: str, library_dirs: Sequence[str] = ()) -> Iterator[str]:
    """Yields the paths of libraries with this name for this machine, in search order."""
    for root, path in find_libraries(base, name, library_dirs):
        library = root.base / path.lstrip("/")
        if elf_machine(library) == platform.machine():
            yield str(library)


def _find_in(root: DriverRoot, name: str, folders: Sequence[str]) -> Iterator[tuple[DriverRoot, str]]:
    paths = (root.resolve(f"{folder}/{name}") for folder in folders)
    yield from ((root, path) for path in paths if path is not None)


def _linked_roots(root: DriverRoot) -> Iterator[str]:
    """Yields the folders to which the links to nvidia-smi lead: `opt/vendor` for `/opt/vendor/bin/nvidia-smi`."""
    found = {PurePosixPath(path) for place in SMI_LINKS if (path := root.resolve(place)) is not None}
    prefixes = (str(folder).strip("/") for path in sorted(found) for folder in (path.parent.parent, path.parent))
    yield from dict.fromkeys(prefix for prefix in prefixes if prefix not in ("", "usr", "usr/bin", "bin"))


def _cached(root: DriverRoot, name: str) -> Iterator[str]:
    cache = root.resolve(LD_CACHE)
    try:
        content = None if cache is None else HostRoot(root.base).read(cache, limit=16 << 20)
    except HostReadError:
        return
    places = (place for _, known, place in parse_ld_cache(content or b"") if known == name)
    yield from (path for path in map(root.resolve, places) if path is not None)
