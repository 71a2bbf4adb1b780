"""Ensures that only one agent of a kind serves a node, by a lock on a file that all agents of the node share."""

import contextlib
import fcntl
import os
from pathlib import Path

import structlog

from node_core.host.flock import is_locked, open_locked
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)

DEFAULT_DIRECTORY = Path("/run/gpunode")
RETRY = 2.0
"""Seconds between two attempts to acquire the lock."""


def instance_lock_path(directory: Path, agent: str, node: str) -> Path:
    return directory / f"{agent}.{node}.lock"


def has_instances(directory: Path) -> bool:
    """Returns whether an agent has its lock in the directory. An agent in a pod may have no lock. Raises OSError."""
    return any(is_locked(path) for path in directory.glob("*.*.lock") if not path.name.startswith("nvml."))


class InstanceLock:
    """An flock on `<directory>/<agent>.<node>.lock`. The kernel releases the lock when the process ends.

    If the directory cannot be created or written (for example without root), a warning is logged once and no lock is used.
    """

    def __init__(self, directory: Path, agent: str, node: str) -> None:
        self._path = instance_lock_path(directory, agent, node)
        self._descriptor: int | None = None
        self._impossible = False

    def acquire(self) -> str | None:
        """Acquires the lock. Returns None, or a sentence that names the process that holds the lock."""
        if self._descriptor is not None or self._impossible:
            return None
        try:
            self._descriptor = open_locked(self._path, fcntl.LOCK_EX)
        except OSError as error:
            self._give_up(error)
            return None
        if self._descriptor is None:
            return f"another process (pid {self._holder()}) serves this node: waiting for {self._path}"
        with contextlib.suppress(OSError):  # the lock is held even if a full disk prevents writing the pid
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())
        return None

    def _holder(self) -> str:
        try:
            return self._path.read_bytes()[:32].decode(errors="replace").strip() or "unknown"
        except OSError:
            return "unknown"

    def _give_up(self, error: OSError) -> None:
        self._impossible = True
        log.warning("instance_lock_unavailable", path=str(self._path), why=error.strerror)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def wait_alone(lock: InstanceLock | None, agent: str, mailbox: Mailbox[AgentMessage], readiness: Readiness) -> bool:
    """Waits until no other process serves this node, and reports the other process. Returns False if Stop arrives first."""
    while lock is not None and (holder := lock.acquire()) is not None:
        readiness.report(f"{agent}/instance", holder)
        readiness.beat(agent)
        if mailbox.wait_for(Stop, RETRY):
            return False
    readiness.report(f"{agent}/instance", None)
    return True
