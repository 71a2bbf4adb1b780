"""Who of us may have NVML open, told to other processes of the node: a shared flock on `<folder>/nvml.<program>.lock`, while it is so.

The kernel lets it go with the process, so nothing that is said here outlives what it is about. Source: flock(2).
"""

import fcntl
import os
from pathlib import Path

import structlog

from node_core.host.flock import lock_at_once, open_locked

log = structlog.get_logger(__name__)


def lock_path(folder: Path, program: str) -> Path:
    return folder / f"nvml.{program}.lock"


class NvmlLock:
    """folder: None where nobody is to be told."""

    def __init__(self, folder: Path | None, program: str) -> None:
        self._path = None if folder is None else lock_path(folder, program)
        self._descriptor: int | None = None

    def hold(self) -> bool:
        """False while somebody has it for himself alone. Where there can be no file that is said, and is no reason not to work."""
        if self._descriptor is not None or self._path is None:
            return True
        try:
            self._descriptor = open_locked(self._path, fcntl.LOCK_SH)
        except OSError as error:
            log.warning(
                "nvml_lock_unavailable",
                path=str(self._path),
                why=error.strerror,
                effect="`gpunode release` does not see us",
            )
            return True
        return self._descriptor is not None

    def let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def who_holds(folder: Path) -> tuple[str, ...]:
    """The programs that may have NVML open now, sorted. Raises OSError where a lock may not be looked at."""
    paths = sorted(folder.glob("nvml.*.lock"))
    return tuple(path.name.removeprefix("nvml.").removesuffix(".lock") for path in paths if _is_held(path))


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        return not lock_at_once(file.fileno(), fcntl.LOCK_EX)
