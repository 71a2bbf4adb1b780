"""The host's file system as an agent sees it.

`/` on the host itself, a folder of read-only mounts in a container, a captured tree in tests.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from node_core.errors import HostReadError

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""A FIFO without a writer must not stop us; on other files O_NONBLOCK means nothing."""
_CHUNK = 1 << 16
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_LEADS_NOWHERE = "is a symbolic link that leads nowhere"

Mark = tuple[int, int, int, int, int]
"""Device, inode, times of the last change of content and of inode, size: a file whose mark stays has stayed as it was."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A directory entry that is there and is not to be read. why: begins with a verb, to follow its name."""

    why: str


@dataclass(frozen=True, slots=True)
class HostRoot:
    """Reads absolute host paths below `base`. Missing is None or empty; unreadable is a HostReadError.

    Only what is asked for by name is read. A symbolic link with an absolute target points outside a captured tree, as it would
    in a container; sysfs and procfs have relative links only.
    """

    base: Path = Path("/")

    def path(self, host_path: str) -> Path:
        """Where an absolute host path lies for us."""
        return self.base / host_path.lstrip("/")

    def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
        """At most `limit` bytes of a file; None where there is none."""
        try:
            file = os.open(self._name(host_path), _OPEN)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(host_path, error) from error
        try:
            return _read_all(file, limit)
        except OSError as error:
            raise _unreadable(host_path, error) from error
        finally:
            os.close(file)

    def text(self, host_path: str) -> str | None:
        """A text file without surrounding white space; bytes that are not UTF-8 are replaced. None where there is none."""
        content = self.read(host_path)
        return None if content is None else content.decode(errors="replace").strip()

    def read_own(self, folder: str, name: str, *, limit: int) -> bytes | Unfit | None:
        """At most `limit` bytes of a regular file that lies in this folder, also by way of links inside it.

        What is no such file is Unfit and never opened for reading: devices, FIFOs, folders, links to the outside. None: it is gone.
        """
        try:
            entry = os.open(f"{self._name(folder)}/{name}", os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            return self._not_there(folder, name, error)
        try:
            return _unfit(entry, os.path.realpath(self._name(folder))) or _reopen(entry, limit)
        except OSError as error:
            raise _unreadable(f"{folder}/{name}", error) from error
        finally:
            os.close(entry)

    def mark(self, host_path: str) -> Mark | None:
        """What tells a file from what it was before; None where there is none, or nothing can be told."""
        try:
            status = os.stat(self._name(host_path))  # noqa: PTH116 - pathlib costs more than the call itself
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def entries(self, host_path: str) -> tuple[str, ...]:
        """The sorted names in a directory; empty where there is none."""
        try:
            return tuple(sorted(os.listdir(self._name(host_path))))  # noqa: PTH208 - as in `mark`
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise HostReadError(f"cannot list {host_path}: {error.strerror}") from error

    def exists(self, host_path: str) -> bool:
        """Whether anything is there; a path that may not be looked at is taken as absent."""
        return self.mark(host_path) is not None

    def shows(self, host_path: str) -> bool:
        """Whether anything is there, where not being able to tell is a HostReadError."""
        try:
            os.stat(self._name(host_path))  # noqa: PTH116 - as in `mark`
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise HostReadError(f"cannot look at {host_path}: {error.strerror}") from error
        return True

    def link_name(self, host_path: str) -> str | None:
        """The last part of a symbolic link's target (`driver` -> `vfio-pci`); None where there is no link."""
        try:
            return os.readlink(self._name(host_path)).rstrip("/").rpartition("/")[2]  # noqa: PTH115 - as in `mark`
        except OSError:
            return None

    def _name(self, host_path: str) -> str:
        return f"{self.base}/{host_path}"

    def _not_there(self, folder: str, name: str, error: OSError) -> Unfit | None:
        if not os.path.lexists(f"{self._name(folder)}/{name}"):
            return None
        if isinstance(error, PermissionError):
            raise _unreadable(f"{folder}/{name}", error) from error
        return Unfit(_LEADS_NOWHERE)


def _unfit(entry: int, folder: str) -> Unfit | None:
    """Of an entry that was opened without touching it (O_PATH); links in its path were followed, and the kernel knows where to."""
    if not os.readlink(f"/proc/self/fd/{entry}").startswith(f"{folder}/"):  # noqa: PTH115 - as in `mark`
        return Unfit("is a symbolic link that leads out of its folder")
    if not stat.S_ISREG(os.fstat(entry).st_mode):
        return Unfit("is not a regular file")
    return None


def _reopen(entry: int, limit: int) -> bytes:
    file = os.open(f"/proc/self/fd/{entry}", _OPEN)
    try:
        return _read_all(file, limit)
    finally:
        os.close(file)


def _read_all(file: int, limit: int) -> bytes:
    """procfs answers in pieces, and a short one is not the last."""
    pieces: list[bytes] = []
    while limit > 0 and (piece := os.read(file, min(limit, _CHUNK))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _unreadable(host_path: str, error: OSError) -> HostReadError:
    return HostReadError(f"cannot read {host_path}: {error.strerror}")
