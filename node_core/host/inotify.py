"""Tells when entries of a directory come, go or get new content, whatever happens to the directory itself. Source: inotify(7)."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from node_core.host.stoppable import StoppableThread, Woken

_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO = 0x100, 0x200, 0x40, 0x80
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x01000000
_ENTRIES = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_CONTENTS = 0x8 | 0x4
"""IN_CLOSE_WRITE, IN_ATTRIB. Not IN_MODIFY: a file that is still being written says half of what is meant."""
_EVENT = struct.Struct("iIII")
"""wd, mask, cookie and the length of the name that follows."""
_LOST = -1
"""The watch of an event that says that the kernel's queue was full."""
POLL_SECONDS = 2.0
POLLS_BEFORE_RETRY = 30

Mode = Literal["inotify", "polling"]


class Watches(Protocol):
    """An inotify instance. Methods raise OSError."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def fileno(self) -> int: ...

    def add(self, path: Path, *, contents: bool = False) -> int:
        """The watch of that directory; the same number when it is watched already. contents: also for what its files say."""
        ...

    def remove(self, watch: int) -> None: ...

    def drain(self) -> frozenset[int]:
        """The watches that have events, -1 among them when events were lost. What they say is looked up on disk."""
        ...


class Inotify:
    """inotify(7) by way of libc."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def add(self, path: Path, *, contents: bool = False) -> int:
        mask = ctypes.c_uint32(_ENTRIES | _CONTENTS if contents else _ENTRIES)
        return _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask))

    def remove(self, watch: int) -> None:
        _checked(self._libc.inotify_rm_watch(self._fd, watch))

    def drain(self) -> frozenset[int]:
        found: set[int] = set()
        try:
            while events := os.read(self._fd, 1 << 16):
                found.update(_watches_of(events))
        except BlockingIOError:
            pass
        return frozenset(found)


def _watches_of(events: bytes) -> Iterator[int]:
    at = 0
    while at < len(events):
        watch, _, _, length = _EVENT.unpack_from(events, at)
        yield watch
        at += _EVENT.size + length


class DirectoryWatch:
    """Calls `on_change`, in its own thread, when entries of `path` may have come, gone or been renamed, or the directory itself.

    While the directory is missing, its nearest existing parent is watched. Where the kernel has no watch left for us, it looks every
    `poll_seconds` instead: see `mode`. `on_change` must not raise. It is also called once after `start`.

    contents: also when a file in it was written and closed, or its owner or mode changed. quiet: seconds between two calls at least;
    what happens in them is told once, after them.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[], None],
        *,
        contents: bool = False,
        quiet: float = 0.0,
        open_watches: Callable[[], Watches] = Inotify,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.mode: Mode = "inotify"
        self._path = path.absolute()
        self._on_change = on_change
        self._contents = contents
        self._quiet = quiet
        self._open_watches = open_watches
        self._poll_seconds = poll_seconds
        self._thread = StoppableThread("directory-watch")

    def start(self) -> None:
        self._thread.start(self._run)

    def stop(self) -> None:
        """Returns when the thread has ended. Not to be called by `on_change`."""
        self._thread.stop()

    def _run(self) -> None:
        seen = _Seen(self._path)
        stopped = False
        while not stopped:
            try:
                with self._open_watches() as watches:
                    self.mode = "inotify"
                    stopped = self._follow(watches, seen)
            except OSError:
                self.mode = "polling"
                stopped = self._poll(seen)

    def _follow(self, watches: Watches, seen: "_Seen") -> bool:
        """True when stopped. Raises OSError when the kernel's limits leave us no watch."""
        held: set[int] = set()
        written = False
        while True:
            own, held = _rearm(watches, self._path, held, contents=self._contents)
            if self._tell(seen, written=written) or self._wait(watches.fileno(), None):
                return True
            touched = watches.drain()
            # two writes within a tick of the file system's clock look alike, so what the kernel says counts too
            written = self._contents and bool(touched & {own, _LOST})

    def _poll(self, seen: "_Seen") -> bool:
        """True when stopped; False when it is time to try inotify again."""
        return any(self._tell(seen) or self._wait(None, self._poll_seconds) for _ in range(POLLS_BEFORE_RETRY))

    def _tell(self, seen: "_Seen", *, written: bool = False) -> bool:
        """Calls when there is something to tell. Whether we are to stop."""
        if not seen.has_changed() and not written:
            return False
        self._on_change()
        return self._quiet > 0 and self._wait(None, self._quiet)

    def _wait(self, events: int | None, timeout: float | None) -> bool:
        """Whether we are to stop; returns too when there are events or the time is over."""
        return self._thread.wait(events, timeout) is Woken.END


class _Seen:
    """Remembers what was in a directory: an entry made anew under an old name counts as a change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: object = object()

    def has_changed(self) -> bool:
        before, self._last = self._last, self._look()
        return before != self._last

    def _look(self) -> tuple[int | None, frozenset[tuple[str, int, int]]]:
        try:
            with os.scandir(self._path) as entries:
                return self._path.stat().st_ino, frozenset(filter(None, map(_identity, entries)))
        except OSError:
            return None, frozenset()


def _identity(entry: "os.DirEntry[str]") -> tuple[str, int, int] | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return entry.name, status.st_ino, status.st_ctime_ns


def _rearm(watches: Watches, path: Path, held: set[int], *, contents: bool) -> tuple[int | None, set[int]]:
    """Watches the directory, or its nearest existing parent, and the parent of that, where its own end is seen.

    The watch of the directory itself, None while it is missing, and all watches.
    """
    while True:
        nearest = nearest_directory(path)
        try:
            parent = watches.add(nearest.parent)
            own = watches.add(nearest, contents=contents and nearest == path)
            wanted = {own, parent}
        except FileNotFoundError:
            continue  # it went in between
        except NotADirectoryError:
            continue
        for watch in held - wanted:
            _forget(watches, watch)
        if nearest_directory(path) == nearest:
            return (own if nearest == path else None), wanted
        held = wanted


def nearest_directory(path: Path) -> Path:
    """The path itself where it is a directory, else its nearest parent that is one."""
    return next((candidate for candidate in (path, *path.parents) if candidate.is_dir()), Path("/"))


def _forget(watches: Watches, watch: int) -> None:
    try:
        watches.remove(watch)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the kernel has removed it with its directory
            raise


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
