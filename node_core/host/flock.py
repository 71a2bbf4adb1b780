"""File locks. The kernel releases a lock when the process ends. Source: flock(2)."""

import fcntl
import os
from pathlib import Path


def open_locked(path: Path, kind: int) -> int | None:
    """Returns a descriptor that holds the lock until the descriptor is closed, or None if another process holds a conflicting lock.

    Creates the file and its folder if they are missing. Raises OSError if the file cannot be created or locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    is_locked = False
    try:
        is_locked = try_lock(descriptor, kind)
    finally:
        if not is_locked:
            os.close(descriptor)
    return descriptor if is_locked else None


def try_lock(descriptor: int, kind: int) -> bool:
    """Acquires the lock without waiting; False if another process has it. Raises OSError if the file system cannot lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Returns whether a process has an exclusive lock on the file. Changes nothing. Raises OSError if the file cannot be opened."""
    with path.open("rb") as file:
        return not try_lock(file.fileno(), fcntl.LOCK_SH)
