"""Watches a directory for changes of its entries, also while the directory itself is removed and created. Source: inotify(7)."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from node_core.host.stoppable_thread import ThreadedService, WakeReason

_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO = 0x100, 0x200, 0x40, 0x80
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x01000000
_ENTRIES = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_CONTENTS = 0x8 | 0x4
"""IN_CLOSE_WRITE and IN_ATTRIB. IN_MODIFY is not included, because it reports files that are not completely written."""
_EVENT = struct.Struct("iIII")
"""wd, mask, cookie and the length of the name. The name follows and is padded with NULs."""
_OVERFLOW = -1
"""The watch number of the event IN_Q_OVERFLOW: the kernel's queue was full, and events were lost."""
_CHUNK = 1 << 16
POLL_SECONDS = 2.0
POLLS_BEFORE_RETRY = 30

Mode = Literal["inotify", "polling"]
Event = tuple[int, str]
"""The number of the watch (_OVERFLOW if events were lost), and the entry of the watched directory (empty for the directory itself)."""
Relevant = Mapping[int, str | None]
"""Number of a watch -> the relevant entry, None for all entries."""


class Watches(Protocol):
    """An inotify instance. Methods raise OSError."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def fileno(self) -> int: ...

    def add(self, path: Path, *, contents: bool = False) -> int:
        """Watches a directory and returns the number of the watch, which is the same for a directory that is watched already.

        contents: also watch the contents and attributes of its files.
        """
        ...

    def remove(self, watch: int) -> None: ...

    def drain(self) -> frozenset[Event]:
        """Returns the events since the last call."""
        ...


class Inotify:
    """inotify(7), called through libc."""

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

    def drain(self) -> frozenset[Event]:
        events: set[Event] = set()
        try:
            while data := os.read(self._fd, _CHUNK):
                events.update(parse_events(data))
        except BlockingIOError:
            pass
        return frozenset(events)


def parse_events(events: bytes) -> Iterator[Event]:
    """Parses the bytes of one read from an inotify instance."""
    at = 0
    while at < len(events):
        watch, _, _, length = _EVENT.unpack_from(events, at)
        at += _EVENT.size + length
        yield watch, os.fsdecode(events[at - length : at].rstrip(b"\0"))


def is_relevant(event: Event, relevant: Relevant) -> bool:
    """True if the watched directory may have changed. In a parent directory, only the entry that leads to the directory is relevant."""
    watch, entry = event
    return watch not in relevant or relevant[watch] in (None, entry) or not entry


class DirectoryWatch(ThreadedService):
    """Calls `on_change` in its own thread, once after `start` and when entries of `path` were created, removed or renamed.

    While the directory is missing, the watch covers its nearest existing parent. If the kernel has no free watch, the directory is
    polled every `poll_seconds` (see `mode`). `on_change` must not raise.

    contents: also call if a file was written and closed, or its owner or mode changed. min_interval: minimum seconds between two calls;
    several changes in this time cause one call.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[], None],
        *,
        contents: bool = False,
        min_interval: float = 0.0,
        open_watches: Callable[[], Watches] = Inotify,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.mode: Mode = "inotify"
        self._path = path.absolute()
        self._on_change = on_change
        self._contents = contents
        self._min_interval = min_interval
        self._open_watches = open_watches
        self._poll_seconds = poll_seconds
        super().__init__("directory-watch")

    def start(self) -> None:
        self._thread.start(self._run)

    def _run(self) -> None:
        snapshot = _DirectorySnapshot(self._path)
        stopped = False
        while not stopped:
            try:
                with self._open_watches() as watches:
                    self.mode = "inotify"
                    stopped = self._follow(watches, snapshot)
            except OSError:
                self.mode = "polling"
                stopped = self._poll(snapshot)

    def _follow(self, watches: Watches, snapshot: "_DirectorySnapshot") -> bool:
        """Returns True when the thread has to end. Raises OSError if the kernel's limits allow no watch."""
        relevant: Relevant = {}
        written = False
        while True:
            own, relevant = _rearm(watches, self._path, relevant, contents=self._contents)
            if self._report(snapshot, written=written):
                return True
            events: frozenset[Event] = frozenset()
            while not any(is_relevant(event, relevant) for event in events):
                if self._wait(watches.fileno(), None):
                    return True
                events = watches.drain()
            # two writes within one tick of the file system's clock have equal times: then only the event shows the second write
            written = self._contents and not {own, _OVERFLOW}.isdisjoint(watch for watch, _ in events)

    def _poll(self, snapshot: "_DirectorySnapshot") -> bool:
        """Returns True when the thread has to end, and False when it is time to try inotify again."""
        return any(self._report(snapshot) or self._wait(None, self._poll_seconds) for _ in range(POLLS_BEFORE_RETRY))

    def _report(self, snapshot: "_DirectorySnapshot", *, written: bool = False) -> bool:
        """Calls `on_change` if the directory changed. True if the thread has to end."""
        if not snapshot.has_changed() and not written:
            return False
        self._on_change()
        return self._wait(None, self._min_interval)

    def _wait(self, events: int | None, timeout: float | None) -> bool:
        """Waits for events or the timeout. True if the thread has to end."""
        return self._thread.wait(events, timeout) is WakeReason.STOP


class _DirectorySnapshot:
    """The last known entries of a directory. An entry that was replaced by one of the same name counts as a change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: object = object()

    def has_changed(self) -> bool:
        before, self._last = self._last, self._read()
        return before != self._last

    def _read(self) -> tuple[int | None, frozenset[tuple[str, int, int]]]:
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


def _rearm(watches: Watches, path: Path, current: Relevant, *, contents: bool) -> tuple[int | None, Relevant]:
    """Watches the directory, or its nearest existing parent. Also watches the parent of the watched directory, to detect its removal.

    Returns the watch of the directory (None while the directory is missing) and all watches. current: the watches until now.
    """
    while True:
        nearest = nearest_directory(path)
        try:
            parent = watches.add(nearest.parent)
            own = watches.add(nearest, contents=contents and nearest == path)
            desired = {parent: nearest.name, own: _entry_towards(path, nearest)}
        except (FileNotFoundError, NotADirectoryError):
            continue  # the directory was removed in the meantime
        for watch in current.keys() - desired.keys():
            _remove_watch(watches, watch)
        if nearest_directory(path) == nearest:
            return (own if nearest == path else None), desired
        current = desired


def _entry_towards(path: Path, directory: Path) -> str | None:
    """Returns the entry of a parent that leads to the path, or None if the directory is the path itself."""
    return None if directory == path else path.relative_to(directory).parts[0]


def nearest_directory(path: Path) -> Path:
    """Returns the path if it is a directory, or else its nearest parent that is a directory."""
    return next((candidate for candidate in (path, *path.parents) if candidate.is_dir()), Path("/"))


def _remove_watch(watches: Watches, watch: int) -> None:
    try:
        watches.remove(watch)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the kernel removes a watch with its directory
            raise


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
