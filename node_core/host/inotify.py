"""Tells when entries of a directory come and go, whatever happens to the directory itself. Source: inotify(7)."""

import ctypes
import errno
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO = 0x100, 0x200, 0x40, 0x80
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x01000000
_MASK = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
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

    def add(self, path: Path) -> int:
        """The watch of that directory; the same number when it is watched already."""
        ...

    def remove(self, watch: int) -> None: ...

    def drain(self) -> None:
        """Forgets the events that wait. What they say is looked up on disk: events may be lost, the disk is not."""
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

    def add(self, path: Path) -> int:
        return _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(_MASK)))

    def remove(self, watch: int) -> None:
        _checked(self._libc.inotify_rm_watch(self._fd, watch))

    def drain(self) -> None:
        try:
            while os.read(self._fd, 1 << 16):
                pass
        except BlockingIOError:
            return


class DirectoryWatch:
    """Calls `on_change`, in its own thread, when entries of `path` may have come, gone or been renamed, or the directory itself.

    While the directory is missing, its nearest existing parent is watched. Where the kernel has no watch left for us, it looks every
    `poll_seconds` instead: see `mode`. `on_change` must not raise. It is also called once after `start`.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[], None],
        *,
        open_watches: Callable[[], Watches] = Inotify,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.mode: Mode = "inotify"
        self._path = path.absolute()
        self._on_change = on_change
        self._open_watches = open_watches
        self._poll_seconds = poll_seconds
        self._thread: threading.Thread | None = None
        self._stop_read, self._stop_write = -1, -1

    def start(self) -> None:
        if self._thread is None:
            self._stop_read, self._stop_write = os.pipe()
            self._thread = threading.Thread(target=self._run, name="directory-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended. Not to be called by `on_change`."""
        if self._thread is not None:
            os.write(self._stop_write, b".")
            self._thread.join()
            os.close(self._stop_read)
            os.close(self._stop_write)
            self._thread = None

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
        while True:
            held = _rearm(watches, self._path, held)
            self._tell(seen)
            if self._wait(watches.fileno(), None):
                return True
            watches.drain()

    def _poll(self, seen: "_Seen") -> bool:
        """True when stopped; False when it is time to try inotify again."""
        for _ in range(POLLS_BEFORE_RETRY):
            self._tell(seen)
            if self._wait(None, self._poll_seconds):
                return True
        return False

    def _tell(self, seen: "_Seen") -> None:
        if seen.has_changed():
            self._on_change()

    def _wait(self, events: int | None, timeout: float | None) -> bool:
        """Whether we are to stop; returns too when there are events or the time is over."""
        poll = select.poll()
        poll.register(self._stop_read, select.POLLIN)
        if events is not None:
            poll.register(events, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return any(fd == self._stop_read for fd, _ in ready)


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


def _rearm(watches: Watches, path: Path, held: set[int]) -> set[int]:
    """Watches the directory, or its nearest existing parent, and the parent of that, where its own end is seen."""
    while True:
        nearest = nearest_directory(path)
        try:
            wanted = {watches.add(nearest), watches.add(nearest.parent)}
        except FileNotFoundError:
            continue  # it went in between
        except NotADirectoryError:
            continue
        for watch in held - wanted:
            _forget(watches, watch)
        if nearest_directory(path) == nearest:
            return wanted
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
