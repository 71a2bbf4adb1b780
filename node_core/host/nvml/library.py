"""Where libnvidia-ml.so.1 lies, and how pynvml comes to use it.

pynvml loads the library by its bare name and cannot be told a path. A library at another place is therefore loaded first, by its
path: the dynamic linker then answers the bare name with it, because its soname is the same (dlopen(3), ld.so(8)).

The search: below the driver's root as we see it; then what the dynamic linker finds, which is where a container runtime puts the
library; then, below our own root, the places of distributions that the dynamic linker does not look at.
"""

import ctypes
import errno
import platform
import stat
import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from node_core.errors import NvmlError
from node_core.host.nvml.api import LIBRARY_NOT_FOUND

LIBRARY = "libnvidia-ml.so.1"
LIBRARY_FOLDERS = (
    "usr/lib64",  # RHEL, SUSE, Amazon Linux; a library that a container runtime injected
    "usr/lib/x86_64-linux-gnu",  # Debian and Ubuntu, and so most k3s and RKE2 nodes
    "usr/lib/aarch64-linux-gnu",
    "lib64",  # the root is /home/kubernetes/bin/nvidia (GKE), /usr/local/nvidia or /opt/nvidia
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib",  # Arch; the root is /usr/local/glibc (Talos)
    "lib",  # the root is /run/opengl-driver (NixOS) or /usr/lib/wsl
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

_MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine of an ELF file (elf.h), by `uname -m`."""
_ELF_HEADER = struct.Struct("<4sB13xH")
_NOT_THERE = f"{LIBRARY}: cannot open shared object file: No such file"
"""How dlerror(3) begins where the dynamic linker has no such library; the beginning differs where one that it needs is missing."""
_MAX_LINKS = 40
"""As the kernel follows them (path_resolution(7))."""


def library_candidates(driver_root: str) -> tuple[str, ...]:
    """Where the library may lie below a driver root (`/`, `/run/nvidia/driver`, a mount of one), the best place first."""
    roots = (PurePosixPath(driver_root) / nested for nested in ("", *NESTED_ROOTS))
    return tuple(str(root / folder / LIBRARY) for root in roots for folder in LIBRARY_FOLDERS)


def find_library(driver_root: str) -> str | None:
    """The first candidate that is a library for this machine, links resolved. None leaves the search to the dynamic linker.

    A link is followed as it is meant where the root is `/`: it never leads out of the root.
    """
    return next(_libraries(driver_root), None)


def load_library(path: str) -> None:
    """Makes pynvml use this library, if it has not loaded another one yet. Raises NvmlError LIBRARY_NOT_FOUND."""
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise NvmlError("nvmlInit_v2", LIBRARY_NOT_FOUND, hint=f"cannot load {path}: {error}") from error


def load_any_library(driver_root: str | None = None, *, own_root: str = "/") -> str:
    """Loads the first library that can be loaded, and returns its path, or its bare name where the dynamic linker found it.

    driver_root: looked below first. own_root: looked below last. Raises NvmlError LIBRARY_NOT_FOUND, whose hint says where it looked.
    """
    before = () if driver_root is None else (driver_root,)
    after = () if own_root in before else (own_root,)
    broken = []
    for name in chain(*map(_libraries, before), (LIBRARY,), *map(_libraries, after)):
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            if not str(error).startswith(_NOT_THERE):
                broken.append(str(error))
        else:
            return name
    raise NvmlError("nvmlInit_v2", LIBRARY_NOT_FOUND, hint=render_search((*before, *after), broken))


def render_search(roots: tuple[str, ...], broken: Sequence[str] = ()) -> str:
    """What to do, and where the library was looked for. broken: what the dynamic linker said of each that was tried."""
    places = [root if Path(root).is_dir() else f"{root} (which is not there)" for root in roots]
    folders = ", ".join((*LIBRARY_FOLDERS, *(f"{root}/*" for root in NESTED_ROOTS)))
    said = f"; {'; '.join(broken)}" if broken else ""
    return (
        f"{LIBRARY} comes with the NVIDIA driver: install it, or make its folder visible here; "
        f"looked where the dynamic linker does, and below {' and '.join(places)} in {folders}{said}"
    )


def _libraries(root: str) -> Iterator[str]:
    """In the order of `library_candidates`. A nested root's links are those of our root, or else those of a root of its own."""
    for nested in ("", *NESTED_ROOTS):
        inner = resolve_inside(Path(root), PurePosixPath(nested))
        if inner is None:
            continue
        for folder in LIBRARY_FOLDERS:
            outside = resolve_inside(Path(root), PurePosixPath(nested, folder, LIBRARY))
            path = outside or resolve_inside(inner, PurePosixPath(folder, LIBRARY))
            if path is not None and is_library(path):
                yield str(path)


def resolve_inside(root: Path, inside: PurePosixPath) -> Path | None:
    """The file that a path inside a root means to whoever has that root as `/`; None where there is none.

    Absolute links start at the root again and `..` does not leave it, as in a chroot (path_resolution(7), openat2(2) RESOLVE_IN_ROOT).
    """
    waiting, found, links = list(reversed(inside.parts)), list[str](), 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            found = found[:-1]
            continue
        try:
            target = root.joinpath(*found, part).readlink()
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: it is there and no link
                return None
            found.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        found = [] if target.is_absolute() else found
        waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return root.joinpath(*found)


def is_library(path: Path) -> bool:
    """Whether this is a regular file with the ELF header of a 64-bit program for this machine.

    Container images often hold empty files of that name, left where a runtime had mounted the real ones while they were made.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            header = file.read(_ELF_HEADER.size)
    except OSError:
        return False
    if len(header) < _ELF_HEADER.size:
        return False
    magic, bits, machine = _ELF_HEADER.unpack(header)
    here = _MACHINES.get(platform.machine(), machine)
    return bool((magic, bits, machine) == (b"\x7fELF", 2, here))
