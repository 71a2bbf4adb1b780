"""Where libnvidia-ml.so.1 lies, and how pynvml comes to use it.

pynvml loads the library by its bare name and cannot be told a path. A library at another place is therefore loaded first, by its
path: the dynamic linker then answers the bare name with it, because its soname is the same (dlopen(3), ld.so(8)).

The search: below the driver's root as we see it; then what the dynamic linker finds, which is where a container runtime puts the
library; then, below our own root, the places of distributions that the dynamic linker does not look at.
"""

import ctypes
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from node_core.errors import NvmlError
from node_core.host.driver_root import LD_CACHE, LIBRARY_FOLDERS, NESTED_ROOTS, find_libraries
from node_core.host.elf import elf_machine
from node_core.host.nvml.api import LIBRARY_NOT_FOUND

LIBRARY = "libnvidia-ml.so.1"
_NOT_THERE = f"{LIBRARY}: cannot open shared object file: No such file"
"""How dlerror(3) begins where the dynamic linker has no such library; the beginning differs where one that it needs is missing."""

_BESIDE: dict[tuple[int, int], ctypes.CDLL] = {}
"""What was loaded by the number of an open file, by the file's device and inode."""


def find_library(driver_root: str) -> str | None:
    """The first candidate that is a library for this machine, links resolved. None leaves the search to the dynamic linker.

    Links never lead out of the root, see `driver_root`.
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


def other_libraries(
    current: ctypes.CDLL, driver_root: str | None = None, *, own_root: str = "/"
) -> Iterator[ctypes.CDLL]:
    """Each library that can be loaded and is not the current one, the best first.

    One of them is that of a driver that was exchanged under a running process. It is loaded beside the old one, which cannot be unloaded
    safely and may be wanted again, and keeps to its own symbols.
    """
    roots = (own_root,) if driver_root in (None, own_root) else (driver_root, own_root)
    for path in chain.from_iterable(map(_libraries, roots)):
        library = _load_beside(path)
        if library is not None and library._handle != current._handle:  # noqa: SLF001 - the dynamic linker has one for each file
            yield library


def _load_beside(path: str) -> ctypes.CDLL | None:
    """The dynamic linker answers a path that it has loaded with what it has, whatever lies there now: so by one that it does not know.

    The file stays open, so that no later one gets its number, nor its inode. None where it is gone by now, or broken.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(file)
    known = _BESIDE.get((status.st_dev, status.st_ino))
    if known is None:
        with suppress(OSError):
            known = ctypes.CDLL(f"/proc/self/fd/{file}", mode=os.RTLD_LOCAL | os.RTLD_DEEPBIND)
            _BESIDE[status.st_dev, status.st_ino] = known
            return known
    os.close(file)
    return known


def render_search(roots: tuple[str, ...], broken: Sequence[str] = ()) -> str:
    """What to do, and where the library was looked for. broken: what the dynamic linker said of each that was tried."""
    places = [root if os.path.isdir(root) else f"{root} (which is not there)" for root in roots]  # noqa: PTH112 - it never raises
    folders = ", ".join((*LIBRARY_FOLDERS, *(f"{root}/*" for root in NESTED_ROOTS), LD_CACHE))
    said = f"; {'; '.join(broken)}" if broken else ""
    return (
        f"{LIBRARY} comes with the NVIDIA driver: install it, or make its folder visible here; "
        f"looked where the dynamic linker does, and below {' and '.join(places)} in {folders}{said}"
    )


def _libraries(root: str) -> Iterator[str]:
    """Those for this machine, the best first."""
    for found, path in find_libraries(Path(root), LIBRARY):
        library = found.base / path.lstrip("/")
        if elf_machine(library) == platform.machine():
            yield str(library)
