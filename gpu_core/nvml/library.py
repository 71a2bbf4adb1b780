"""Finds libnvidia-ml.so.1 and makes pynvml use the library.

pynvml loads the library by its bare name and does not accept a path. So this module loads the library by its path first. The dynamic
linker then returns the same library for the bare name, because the soname is equal (dlopen(3), ld.so(8)).

Search order: below the mounted driver root; by the dynamic linker, which finds a library that a container runtime mounted; below the own
root of the process, in folders of distributions that the dynamic linker does not search.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path

from gpu_core.host.driver_root import (
    DRIVER_CONTAINER,
    LD_CACHE,
    LIBRARY_FOLDERS,
    NESTED_ROOTS,
    SMI_LINKS,
    find_loadable,
)
from gpu_core.nvml.api import LIBRARY_NOT_FOUND
from node_core.errors import NvmlError

LIBRARY = "libnvidia-ml.so.1"
_NOT_THERE = f"{LIBRARY}: cannot open shared object file: No such file"
"""The start of dlerror(3) if this library does not exist. The text differs if a dependency of the library is missing."""

_BESIDE: dict[tuple[int, int], ctypes.CDLL] = {}
"""Libraries that were loaded through /proc/self/fd, by device and inode of the file."""


def load_library(path: str) -> None:
    """Makes pynvml use this library, unless pynvml has already loaded one. Raises NvmlError LIBRARY_NOT_FOUND."""
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise NvmlError("nvmlInit_v2", LIBRARY_NOT_FOUND, hint=f"cannot load {path}: {error}") from error


def load_any_library(driver_root: str | None = None, *, library_dirs: Sequence[str] = (), own_root: str = "/") -> str:
    """Loads the first loadable library. Returns its path, or the bare name for a library that the dynamic linker found.

    driver_root: searched first. library_dirs: see find_libraries. own_root: searched last. Raises NvmlError LIBRARY_NOT_FOUND with a hint
    that names the searched folders.
    """
    before = () if driver_root is None else (driver_root,)
    after = () if own_root in before else (own_root,)
    broken = []
    below = partial(_libraries, library_dirs=library_dirs)
    for name in chain(*map(below, before), (LIBRARY,), *map(below, after)):
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            if not str(error).startswith(_NOT_THERE):
                broken.append(str(error))
        else:
            return name
    raise NvmlError("nvmlInit_v2", LIBRARY_NOT_FOUND, hint=render_search((*before, *after), broken))


def other_libraries(
    current: ctypes.CDLL,
    driver_root: str | None = None,
    *,
    library_dirs: Sequence[str] = (),
    own_root: str = "/",
    loaded: str | None = None,
) -> Iterator[ctypes.CDLL]:
    """Yields each loadable library except the current one, in search order.

    After a driver replacement, one of these belongs to the new driver. The current library stays loaded, because unloading is not safe and
    the old driver may return. Each library uses its own symbols. loaded: the version of the kernel module, whose library may have no link
    if several drivers are installed.
    """
    roots = (own_root,) if driver_root in (None, own_root) else (driver_root, own_root)
    names = [LIBRARY, *([LIBRARY.removesuffix("1") + loaded] if loaded else [])]
    for path in chain.from_iterable(find_loadable(Path(root), name, library_dirs) for name in names for root in roots):
        library = _load_beside(path)
        if library is not None and library._handle != current._handle:  # noqa: SLF001 - one handle for each file
            yield library


def _load_beside(path: str) -> ctypes.CDLL | None:
    """Loads a library through /proc/self/fd/N; None if the file is missing or broken.

    For a path that was loaded before, dlopen() would return the old library, even if the file was replaced. The file stays open, so that
    no other file gets the same descriptor or inode.
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
    """A hint with the solution and the searched folders. broken: errors of the dynamic linker."""
    places = [root if os.path.isdir(root) else f"{root} (which does not exist)" for root in roots]  # noqa: PTH112 - never raises
    nested = (f"{root}/*" for root in NESTED_ROOTS)
    folders = ", ".join((f"{DRIVER_CONTAINER}/*", *LIBRARY_FOLDERS, *nested, LD_CACHE, *SMI_LINKS))
    errors = f"; {'; '.join(broken)}" if broken else ""
    return (
        f"{LIBRARY} is part of the NVIDIA driver: install the driver, mount its folder for this process, or set --driver-library-dirs; "
        f"searched by the dynamic linker, and below {' and '.join(places)} in {folders}{errors}"
    )


def _libraries(root: str, library_dirs: Sequence[str] = ()) -> Iterator[str]:
    return find_loadable(Path(root), LIBRARY, library_dirs)
