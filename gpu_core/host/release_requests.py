"""Reads and writes release requests as files. See `domain.release`."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from heapq import nlargest
from pathlib import Path

from gpu_core.domain.release import ReleaseRequest, parse_seconds, seconds_left
from node_core.host.atomic_write import write_atomically

FOLDER = "release.d"
"""Below the folder of the agents' locks."""
MAX_BYTES = 64
"""Bytes of a file that are read."""
MAX_FILES = 64
STALE_SECONDS = 24 * 3600.0
"""Age at which a request is removed. Far longer than a request can last, so that a clock that was set removes no active request."""


def read_requests(folder: Path, wall: Callable[[], float]) -> tuple[ReleaseRequest, ...]:
    """Reads the requests, sorted by name; empty without a folder. Hidden files are temporary files. wall: Unix seconds.

    Reads the newest MAX_FILES files, so that expired requests do not hide active ones. More files are reported as a problem.
    """
    try:
        dated = [(_modified(entry), entry.name) for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return ()
    names = sorted(name for _, name in nlargest(MAX_FILES, dated))
    too_many = ReleaseRequest(name=folder.name, problem=f"only its {MAX_FILES} newest files are read")
    return (*_read_all(folder, names, wall()), *([too_many] if len(dated) > MAX_FILES else []))


def remove_stale_requests(folder: Path, kinds: tuple[str, ...], wall: Callable[[], float]) -> None:
    """Removes old requests whose names start with one of `kinds`, and their temporary files.

    Ignores files that cannot be removed. Raises OSError if the folder cannot be listed.
    """
    for entry in os.scandir(folder):
        if entry.name.removeprefix(".").startswith(kinds) and wall() - _modified(entry) > STALE_SECONDS:
            with suppress(OSError):
                Path(entry.path).unlink()


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0  # removed since the listing, or reading the file reports the error


def write_request(folder: Path, name: str, seconds: float) -> Path:
    """Writes a request atomically. Replaces the request of the same name, which starts again. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    write_atomically(path, f"{seconds:g}s\n")
    return path


def _read_all(folder: Path, names: list[str], now: float) -> Iterator[ReleaseRequest]:
    for name in names:
        try:
            yield _read(folder, name, now)
        except FileNotFoundError:
            continue  # removed since the listing
        except OSError as error:
            yield ReleaseRequest(name=name, problem=error.strerror or str(error))


def _read(folder: Path, name: str, now: float) -> ReleaseRequest:
    """Opens without blocking: opening a FIFO would wait for a writer."""
    descriptor = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        content = os.read(descriptor, MAX_BYTES) if stat.S_ISREG(status.st_mode) else None
    finally:
        os.close(descriptor)
    identity = (status.st_ino, status.st_mtime_ns)
    if content is None:
        return ReleaseRequest(name=name, identity=identity, problem="not a regular file")
    try:
        seconds = parse_seconds(content.decode())
    except ValueError as error:
        return ReleaseRequest(name=name, identity=identity, problem=str(error))
    return ReleaseRequest(name=name, identity=identity, left=seconds_left(seconds, now - status.st_mtime))
