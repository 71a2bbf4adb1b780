"""Finds the Windows driver's files under WSL 2. Source: NVIDIA, CUDA on WSL User Guide.

Libraries load each other by their path in the driver store, so a container needs them at the same paths.
"""

from pathlib import PurePosixPath

from gpu_core.host.driver_root import DriverRoot

DXCORE = "/usr/lib/wsl/lib/libdxcore.so"
STORE = "/usr/lib/wsl/drivers"
_CUDA = "libcuda.so.1.1"
_NAMED = frozenset({"nvidia-smi", "nvcubins.bin"})


def read_wsl(root: DriverRoot) -> tuple[str, ...]:
    """The paths of libdxcore and of the files of each driver in the store; empty on a machine without WSL. Raises HostReadError."""
    core = root.resolve(DXCORE)
    if core is None:
        return ()
    stores = [f"{STORE}/{name}" for name in root.names(STORE) if root.resolve(f"{STORE}/{name}/{_CUDA}")]
    files = [f"{store}/{name}" for store in stores for name in root.names(store) if _is_wanted(name)]
    return (core, *(path for path in map(root.resolve, files) if path is not None))


def _is_wanted(name: str) -> bool:
    suffixes = PurePosixPath(name).suffixes
    return name in _NAMED or ".so" in suffixes or suffixes[-1:] in (["." + kind] for kind in ("bin", "dll"))
