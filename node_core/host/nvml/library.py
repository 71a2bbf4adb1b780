"""Where libnvidia-ml.so.1 lies, and how pynvml comes to use it.

pynvml loads the library by its bare name and cannot be told a path. A library at another place is therefore loaded first, by its
path: the dynamic linker then answers the bare name with it, because its soname is the same (dlopen(3), ld.so(8)).
"""

import ctypes
from pathlib import Path, PurePosixPath

from node_core.errors import NvmlError
from node_core.host.nvml.api import LIBRARY_NOT_FOUND

LIBRARY = "libnvidia-ml.so.1"
LIBRARY_FOLDERS = (
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib64",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
)
"""Below a driver root, in the order in which they are looked at."""


def library_candidates(driver_root: str) -> tuple[str, ...]:
    """Where the library may lie below a driver root (`/`, `/run/nvidia/driver`, a mount of it), the best place first."""
    return tuple(str(PurePosixPath(driver_root) / folder / LIBRARY) for folder in LIBRARY_FOLDERS)


def find_library(driver_root: str) -> str | None:
    """The first candidate that is there; None leaves the search to the dynamic linker."""
    return next((path for path in library_candidates(driver_root) if Path(path).is_file()), None)


def load_library(path: str) -> None:
    """Makes pynvml use this library, if it has not loaded another one yet. Raises NvmlError LIBRARY_NOT_FOUND."""
    try:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise NvmlError("nvmlInit_v2", LIBRARY_NOT_FOUND, hint=f"cannot load {path}: {error}") from error
