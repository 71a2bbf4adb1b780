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
MAPS = Path("/proc/self/maps")
_NOT_THERE = f"{LIBRARY}: cannot open shared object file: No such file"
"""How dlerror(3) begins where the dynamic linker has no such library; the beginning differs where one that it needs is missing."""


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


def load_other_library(driver_root: str | None = None, *, own_root: str = "/", maps: Path = MAPS) -> ctypes.CDLL | None:
    """The first library that is another file than those that are loaded already; None where there is none.

    That of a driver that was exchanged under a running process. It is loaded beside the old one, which cannot be unloaded safely, and
    keeps to its own symbols.
    """
    loaded = parse_loaded(maps.read_text(errors="replace"))
    roots = (own_root,) if driver_root in (None, own_root) else (driver_root, own_root)
    others = (path for root in roots for path in _libraries(root) if Path(path).stat().st_ino not in loaded)
    for path in others:
        with suppress(OSError):
            return _load_beside(path)
    return None


def _load_beside(path: str) -> ctypes.CDLL:
    """The dynamic linker answers a path that it has loaded with what it has, whatever lies there now: so by one that it does not know.

    The file stays open, so that no later one gets its number. Raises OSError.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return ctypes.CDLL(f"/proc/self/fd/{file}", mode=os.RTLD_LOCAL | os.RTLD_DEEPBIND)
    except OSError:
        os.close(file)
        raise


def parse_loaded(maps: str) -> frozenset[int]:
    """The inodes of NVML's libraries in a text as of /proc/self/maps (proc_pid_maps(5)), also of files that are gone by now."""
    fields = (line.split(maxsplit=5) for line in maps.splitlines() if "/libnvidia-ml.so" in line)
    return frozenset(int(each[4]) for each in fields if len(each) == 6 and each[4].isdecimal())


def render_search(roots: tuple[str, ...], broken: Sequence[str] = ()) -> str:
    """What to do, and where the library was looked for. broken: what the dynamic linker said of each that was tried."""
    places = [root if Path(root).is_dir() else f"{root} (which is not there)" for root in roots]
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
