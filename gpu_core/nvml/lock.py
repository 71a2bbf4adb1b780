"""Reports to other processes of the node which programs may have NVML open: a shared flock on `<folder>/nvml.<program>.lock`.

The kernel drops the lock when the process ends, so the lock cannot become stale. Source: flock(2).
"""

import fcntl
import os
from pathlib import Path

import structlog

from node_core.host.flock import open_locked, try_lock

log = structlog.get_logger(__name__)


def lock_path(folder: Path, program: str) -> Path:
    return folder / f"nvml.{program}.lock"


class NvmlLock:
    """folder: None for no lock."""

    def __init__(self, folder: Path | None, program: str) -> None:
        self._path = None if folder is None else lock_path(folder, program)
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Returns False while another process has an exclusive lock. If the lock file cannot be opened, logs that and returns True."""
        if self._descriptor is not None or self._path is None:
            return True
        try:
            self._descriptor = open_locked(self._path, fcntl.LOCK_SH)
        except OSError as error:
            log.warning(
                "nvml_lock_unavailable",
                path=str(self._path),
                why=error.strerror,
                effect="`gpunode release` does not wait for this process",
            )
            return True
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def list_holders(folder: Path) -> tuple[str, ...]:
    """The programs that hold their lock, sorted. Raises OSError if a lock file cannot be read."""
    paths = sorted(folder.glob("nvml.*.lock"))
    return tuple(path.name.removeprefix("nvml.").removesuffix(".lock") for path in paths if _is_held(path))


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        return not try_lock(file.fileno(), fcntl.LOCK_EX)
