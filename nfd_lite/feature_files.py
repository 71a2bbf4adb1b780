"""Looks again at feature files when that is worth while: when one of them changes, and when something in them expires."""

import threading
from collections.abc import Callable

from node_core.host.inotify import DirectoryWatch
from node_core.host.root import HostRoot

QUIET = 0.2
"""Seconds at least between two looks: a program that writes many files, or one of them again and again, keeps nobody busy."""
CLOCK_CHECK = 30.0
"""Seconds after which the wall clock is asked again: somebody may have set it."""


def watch_feature_files(root: HostRoot, folder: str, changed: Callable[[], None]) -> DirectoryWatch:
    """A part that calls `changed` after its start and whenever files come, go, or say something else, in the host's folder."""
    return DirectoryWatch(root.path(folder), changed, contents=True, quiet=QUIET)


class Alarm:
    """A part that calls `due`, in its own thread, once when the time comes that it was last set to. now: Unix seconds."""

    def __init__(self, due: Callable[[], None], now: Callable[[], float]) -> None:
        self._due = due
        self._now = now
        self._at: float | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def set(self, at: float | None) -> None:
        """None: no call. Callable from any thread."""
        with self._changed:
            self._at = at
            self._changed.notify()

    def start(self) -> None:
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="alarm", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while self._wait():
            self._due()

    def _wait(self) -> bool:
        """Whether the time has come; False when this is the end."""
        with self._changed:
            while not self._ended:
                left = None if self._at is None else self._at - self._now()
                if left is not None and left <= 0:
                    self._at = None
                    return True
                self._changed.wait(left if left is None else min(left, CLOCK_CHECK))
            return False
