"""Where an NVIDIA driver's files lie below a root: `/` of a host, a mount of it, the root of a driver container, a folder of its own.

A root belongs to somebody else. Its links are followed as they are meant where it is `/`; one that would leave it is refused, so that
nothing outside of it is ever loaded or mounted because of what it holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from node_core.errors import HostReadError
from node_core.host.ld_cache import parse_ld_cache
from node_core.host.links import resolve_inside
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
    "usr/lib",  # Arch; the root is /usr/local/glibc (Talos)
    "lib",  # the root is /run/opengl-driver (NixOS) or /usr/lib/wsl
    ".",  # the root is a folder of libraries
)
"""Below a driver root, in the order in which they are looked at."""

NESTED_ROOTS = (
    "run/nvidia/driver",  # a driver container's root, of the GPU operator; RKE2 and k3s with it too
    "home/kubernetes/bin/nvidia",  # GKE on Container-Optimized OS
    "usr/local/nvidia",  # where GKE mounts it in containers
    "run/opengl-driver",  # NixOS
    "usr/local/glibc",  # Talos, its system extension
    "usr/lib/wsl",
    "opt/nvidia",
)
"""Driver roots below a host's root: looked at after the host's own folders."""

LD_CACHE = "etc/ld.so.cache"
"""What is looked at last, for a library in a folder of somebody's own."""


class Layout(StrEnum):
    """How a driver is laid out. FLAT: a folder with bin and lib64 or lib, as on GKE's Container-Optimized OS or in /opt/nvidia."""

    DISTRIBUTION = "distribution"
    DRIVER_CONTAINER = "driver-container"
    FLAT = "flat"
    NIXOS = "nixos"
    TALOS = "talos"
    WSL = "wsl"
    TEGRA = "tegra"


_NESTED_LAYOUTS = {
    "run/nvidia/driver": Layout.DRIVER_CONTAINER,
    "run/opengl-driver": Layout.NIXOS,
    "usr/local/glibc": Layout.TALOS,
    "usr/lib/wsl": Layout.WSL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFile:
    """path: below the driver root, links resolved. place: where a container has it."""

    path: str
    place: str


@dataclass(frozen=True, slots=True)
class DriverRoot:
    """base: a root as we see it. nested: one of NESTED_ROOTS where the driver has a root of its own in there.

    A `place` is a path below the driver's own root, a `path` one below base; both are written as if that root were `/`.
    """

    base: Path
    nested: str = ""

    def resolve(self, place: str) -> str | None:
        """The path of what is at a place, links resolved; None where nothing is, and for a path that cannot be written down.

        A nested root's links are those of the root that it lies in, or else those of a root of its own.
        """
        inside = PurePosixPath(place.lstrip("/"))
        found = resolve_inside(self.base, self.nested / inside)
        if found is None and self.nested:
            own = resolve_inside(self.base, PurePosixPath(self.nested))
            found = None if own is None else resolve_inside(own, inside)
        path = None if found is None else f"/{found.relative_to(self.base).as_posix()}"
        return path if path is not None and is_plain(path) else None

    def read_link(self, place: str) -> str | None:
        """What a link at a place says; None where there is no link."""
        folder = self.resolve(str(PurePosixPath(place).parent))
        try:
            return (
                None if folder is None else str((self.base / folder.lstrip("/") / PurePosixPath(place).name).readlink())
            )
        except OSError:
            return None

    def place(self, path: str) -> str:
        """The place of a path; the path itself where it lies outside of the driver's own root."""
        own = f"/{self.nested}/" if self.nested else "/"
        return f"/{path.removeprefix(own)}" if path.startswith(own) else path

    def names(self, place: str) -> tuple[str, ...]:
        """The sorted names in a folder; empty where there is none. Raises HostReadError."""
        path = self.resolve(place)
        return () if path is None else HostRoot(self.base).entries(path)

    @property
    def search(self) -> "tuple[DriverRoot, ...]":
        """The roots in which a driver's files are looked for: its own, and the one that it lies in."""
        return (self, DriverRoot(self.base)) if self.nested else (self,)

    @property
    def layout(self) -> Layout:
        if self.nested:
            return _NESTED_LAYOUTS.get(self.nested, Layout.FLAT)
        return Layout.DISTRIBUTION if self.resolve("usr") else Layout.FLAT


def is_plain(path: str) -> bool:
    """Whether a path means the same wherever it is written: in lists with colons between, in arguments, in logs, in JSON for others."""
    return path.isprintable() and ":" not in path


def find_libraries(base: Path, name: str) -> Iterator[tuple[DriverRoot, str]]:
    """Each path of a library of that name, the best first."""
    for nested in ("", *NESTED_ROOTS):
        root = DriverRoot(base, nested)
        if nested and root.resolve("") is None:
            continue
        paths = (root.resolve(f"{folder}/{name}") for folder in LIBRARY_FOLDERS)
        yield from ((root, path) for path in paths if path is not None)
    yield from ((DriverRoot(base), path) for path in _cached(DriverRoot(base), name))


def _cached(root: DriverRoot, name: str) -> Iterator[str]:
    cache = root.resolve(LD_CACHE)
    try:
        content = None if cache is None else HostRoot(root.base).read(cache, limit=16 << 20)
    except HostReadError:
        return
    places = (place for _, known, place in parse_ld_cache(content or b"") if known == name)
    yield from (path for path in map(root.resolve, places) if path is not None)
