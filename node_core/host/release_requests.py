"""Requests for free GPUs as files: read, written and taken back. See `domain.release`."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from heapq import nlargest
from pathlib import Path

from node_core.domain.release import Request, parse_seconds, seconds_left

FOLDER = "release.d"
"""Below the folder of the agents' locks."""
LONGEST = 64
"""Characters of a request."""
MOST = 64
"""Files that are read."""
OLD = 24 * 3600.0
"""Seconds after which a request is removed: so many times the longest that no clock that somebody sets takes one away that holds."""


def read_requests(folder: Path, wall: Callable[[], float]) -> tuple[Request, ...]:
    """In the order of their names; none where there is no folder. Hidden files are being written. wall: Unix seconds.

    Of too many the newest are read, so that those whose time is over hide none that holds; that there are others is a problem.
    """
    try:
        dated = [(_written(entry), entry.name) for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return ()
    names = sorted(name for _, name in nlargest(MOST, dated))
    too_many = Request(name=folder.name, problem=f"only the newest {MOST} of its files are read")
    return (*_read_all(folder, names, wall()), *([too_many] if len(dated) > MOST else []))


def remove_old(folder: Path, kinds: tuple[str, ...], wall: Callable[[], float]) -> None:
    """Requests of these names that nobody renewed for long, half-written ones too, where it can be done. Raises OSError without folder."""
    for entry in os.scandir(folder):
        if entry.name.removeprefix(".").startswith(kinds) and wall() - _written(entry) > OLD:
            with suppress(OSError):
                Path(entry.path).unlink()


def _written(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0  # it was taken back meanwhile, or reading it says what is wrong


def write_request(folder: Path, name: str, seconds: float) -> Path:
    """At once as a whole; one of that name begins anew. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path, hidden = folder / name, folder / f".{name}.{os.getpid()}"
    try:
        hidden.write_text(f"{seconds:g}s\n")
        hidden.replace(path)
    except OSError:
        with suppress(OSError):
            hidden.unlink()
        raise
    return path


def _read_all(folder: Path, names: list[str], now: float) -> Iterator[Request]:
    for name in names:
        try:
            yield _read(folder, name, now)
        except FileNotFoundError:
            continue  # it was taken back meanwhile
        except OSError as error:
            yield Request(name=name, problem=error.strerror or str(error))


def _read(folder: Path, name: str, now: float) -> Request:
    """Opening must not wait for anybody, which a FIFO would."""
    descriptor = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        content = os.read(descriptor, LONGEST) if stat.S_ISREG(status.st_mode) else None
    finally:
        os.close(descriptor)
    identity = (status.st_ino, status.st_mtime_ns)
    if content is None:
        return Request(name=name, identity=identity, problem="it is no file")
    try:
        seconds = parse_seconds(content.decode())
    except ValueError as error:
        return Request(name=name, identity=identity, problem=str(error))
    return Request(name=name, identity=identity, left=seconds_left(seconds, now - status.st_mtime))
