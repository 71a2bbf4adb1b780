"""Unmounts what a driver container has mounted on the host. Sources: proc_pid_mountinfo(5); umount(2)."""

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from node_core.errors import DriverError

MOUNTINFO = "/proc/self/mountinfo"
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
_ESCAPE = re.compile(r"\\([0-7]{3})")
_MOUNT_POINT = 4
"""The place of the mount point among the fields of a line."""


def read_mountinfo() -> str:
    """Reads the mounts of this process. A path need not be UTF-8."""
    return Path(MOUNTINFO).read_bytes().decode(errors="surrogateescape")


def parse_mountinfo(text: str) -> tuple[str, ...]:
    """Returns the mount points in the order of the file, which is the order of mounting. Ignores lines without a mount point."""
    lines = (line.split(" ") for line in text.splitlines())
    return tuple(_unescape(fields[_MOUNT_POINT]) for fields in lines if len(fields) > _MOUNT_POINT)


def _unescape(name: str) -> str:
    """The kernel writes a space, a tab, a line feed and a backslash as octal numbers."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), name)


def select_mounts(points: Iterable[str], folder: str) -> tuple[str, ...]:
    """Returns the mount points at and below a folder, the last one first. A point with two mounts occurs twice. PURE."""
    return tuple(point for point in reversed(tuple(points)) if point == folder or point.startswith(f"{folder}/"))


def unmount_all(folder: str, read: Callable[[], str], unmount: Callable[[str], None]) -> tuple[str, ...]:
    """Unmounts everything at and below a folder. Returns the unmounted points. read: the text of mountinfo. Raises DriverError.

    Unmounting one point can remove others, for example in a group of shared mounts.
    """
    done: list[str] = []
    points = select_mounts(parse_mountinfo(read()), folder)
    for _ in points:
        left = select_mounts(parse_mountinfo(read()), folder)
        if not left:
            break
        _unmount(left[0], unmount)
        done.append(left[0])
    if left := select_mounts(parse_mountinfo(read()), folder):
        why = f"{left[0]} is still mounted after it was unmounted"
        raise DriverError(why, hint="end the process that mounts it again, or reboot the node")
    return tuple(done)


def _unmount(point: str, unmount: Callable[[str], None]) -> None:
    try:
        unmount(point)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: not mounted any more
            why = f"{point} cannot be unmounted: {error.strerror}"
            raise DriverError(
                why, hint="run the container privileged, with /run/nvidia of the host and propagation"
            ) from error


def detach(point: str) -> None:
    """Unmounts lazily: open files remain usable, as those of a workload that lives on. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(point), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), point)
