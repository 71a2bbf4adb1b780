"""Locks on files that the kernel lets go with the process. Source: flock(2)."""

import fcntl
import os
from pathlib import Path


def open_locked(path: Path, kind: int) -> int | None:
    """A descriptor that holds the lock for as long as it is open; None while somebody else is in the way.

    The file and its folder are made where they are missing. Raises OSError where there can be none, or no lock on it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    has_it = False
    try:
        has_it = lock_at_once(descriptor, kind)
    finally:
        if not has_it:
            os.close(descriptor)
    return descriptor if has_it else None


def lock_at_once(descriptor: int, kind: int) -> bool:
    """Whether it could be had at once. Raises OSError where the file system has no locks, or no more of them."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
