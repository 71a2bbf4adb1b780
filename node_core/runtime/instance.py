"""One agent of a kind per node: a lock on a file that all agents of the node see."""

import contextlib
import fcntl
import os
from pathlib import Path

import structlog

from node_core.host.flock import open_locked
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)

DEFAULT_DIRECTORY = Path("/run/gpunode")
RETRY = 2.0
"""Seconds between two tries to get the lock."""


class InstanceLock:
    """An flock on `<directory>/<agent>.<node>.lock`, released by the kernel whenever the process ends.

    Where the directory cannot be made or written (a person without root), there is no lock and that is said once.
    """

    def __init__(self, directory: Path, agent: str, node: str) -> None:
        self._path = directory / f"{agent}.{node}.lock"
        self._descriptor: int | None = None
        self._impossible = False

    def acquire(self) -> str | None:
        """None when the node is ours; else a sentence about who has it."""
        if self._descriptor is not None or self._impossible:
            return None
        try:
            self._descriptor = open_locked(self._path, fcntl.LOCK_EX)
        except OSError as error:
            self._give_up(error)
            return None
        if self._descriptor is None:
            return f"another process (pid {self._holder()}) serves this node: waiting for {self._path}"
        with contextlib.suppress(OSError):  # a full disk keeps our number from others, not the node from us
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
    """Waits until no other process serves this node, and says who does; False when told to stop meanwhile."""
    while lock is not None and (holder := lock.acquire()) is not None:
        readiness.report(f"{agent}/instance", holder)
        readiness.beat(agent)
        if mailbox.holds(Stop, RETRY):
            return False
    readiness.report(f"{agent}/instance", None)
    return True
