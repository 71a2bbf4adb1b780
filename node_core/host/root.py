"""The root of the host's file system: `/` on the host, a folder of read-only mounts in a container, a captured tree in tests."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from node_core.errors import HostReadError

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""O_NONBLOCK: opening a FIFO without a writer must not block. For other files this flag has no effect."""
_CHUNK = 1 << 16
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_BROKEN_LINK = "is a broken symbolic link"

FileStamp = tuple[int, int, int, int, int]
"""Device, inode, mtime, ctime and size. A file with the same stamp has not changed."""


class NotReadable(msgspec.Struct, frozen=True):
    """A directory entry that exists and must not be read. why: the reason, as a phrase to append to the name of the entry."""

    why: str


@dataclass(frozen=True, slots=True)
class HostRoot:
    """Reads absolute host paths below `base`. Methods return None or an empty value for a missing file, and raise HostReadError for an
    unreadable file.

    A symbolic link with an absolute target leads out of `base`. sysfs and procfs contain only relative links.
    """

    base: Path = Path("/")

    def path(self, host_path: str) -> Path:
        """Returns the path in this mount namespace of an absolute host path."""
        return self.base / host_path.lstrip("/")

    def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
        """Reads at most `limit` bytes of a file. Returns None if the file is missing."""
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
        """Reads a text file, and strips surrounding white space. Replaces invalid UTF-8. Returns None if the file is missing."""
        content = self.read(host_path)
        return None if content is None else content.decode(errors="replace").strip()

    def read_regular(self, folder: str, name: str, *, limit: int) -> bytes | NotReadable | None:
        """Reads at most `limit` bytes of a regular file in this folder. Follows links, but not out of the folder.

        Returns NotReadable for devices, FIFOs, folders and links out of the folder, without opening them for reading. Returns None if the
        entry is missing.
        """
        try:
            entry = os.open(f"{self._name(folder)}/{name}", os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            return self._explain_missing(folder, name, error)
        try:
            return _check_regular(entry, os.path.realpath(self._name(folder))) or _reopen(entry, limit)
        except OSError as error:
            raise _unreadable(f"{folder}/{name}", error) from error
        finally:
            os.close(entry)

    def stamp(self, host_path: str) -> FileStamp | None:
        """Returns the stamp of a file, or None if the file is missing or cannot be examined."""
        try:
            status = os.stat(self._name(host_path))  # noqa: PTH116 - pathlib costs more than the call itself
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def entries(self, host_path: str) -> tuple[str, ...]:
        """Lists the names in a directory, sorted. Returns an empty tuple if the directory is missing."""
        try:
            return tuple(sorted(os.listdir(self._name(host_path))))  # noqa: PTH208 - as in `mark`
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise HostReadError(f"cannot list {host_path}: {error.strerror}") from error

    def exists(self, host_path: str) -> bool:
        """True if the path exists. A path that cannot be examined counts as missing."""
        return self.stamp(host_path) is not None

    def check_exists(self, host_path: str) -> bool:
        """True if the path exists. Raises HostReadError for a path that cannot be examined."""
        try:
            os.stat(self._name(host_path))  # noqa: PTH116 - as in `mark`
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise HostReadError(f"cannot examine {host_path}: {error.strerror}") from error
        return True

    def link_name(self, host_path: str) -> str | None:
        """Returns the last part of a symbolic link's target (`driver` -> `vfio-pci`), or None if there is no link."""
        target = self.link_target(host_path)
        return None if target is None else target.rstrip("/").rpartition("/")[2]

    def link_target(self, host_path: str) -> str | None:
        """Returns a symbolic link's target as the link contains it, relative or not, or None if there is no link."""
        try:
            return os.readlink(self._name(host_path))  # noqa: PTH115 - as in `mark`
        except OSError:
            return None

    def _name(self, host_path: str) -> str:
        return f"{self.base}/{host_path}"

    def _explain_missing(self, folder: str, name: str, error: OSError) -> NotReadable | None:
        if not os.path.lexists(f"{self._name(folder)}/{name}"):
            return None
        if isinstance(error, PermissionError):
            raise _unreadable(f"{folder}/{name}", error) from error
        return NotReadable(_BROKEN_LINK)


def _check_regular(entry: int, folder: str) -> NotReadable | None:
    """Checks an entry that was opened with O_PATH, which follows links without opening the file for reading."""
    if not os.readlink(f"/proc/self/fd/{entry}").startswith(f"{folder}/"):  # noqa: PTH115 - as in `mark`
        return NotReadable("is a symbolic link that leads out of its folder")
    if not stat.S_ISREG(os.fstat(entry).st_mode):
        return NotReadable("is not a regular file")
    return None


def _reopen(entry: int, limit: int) -> bytes:
    file = os.open(f"/proc/self/fd/{entry}", _OPEN)
    try:
        return _read_all(file, limit)
    finally:
        os.close(file)


def _read_all(file: int, limit: int) -> bytes:
    """Reads until the end or the limit. A read from procfs may return fewer bytes than requested before the end of the file."""
    pieces: list[bytes] = []
    while piece := os.read(file, min(limit, _CHUNK)):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _unreadable(host_path: str, error: OSError) -> HostReadError:
    return HostReadError(f"cannot read {host_path}: {error.strerror}")
