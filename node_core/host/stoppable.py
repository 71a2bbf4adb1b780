"""A daemon thread that waits for a file descriptor, for a time, or for its end, whichever comes first."""

import os
import select
import threading
from collections.abc import Callable
from enum import Enum, auto


class Woken(Enum):
    """Why a wait is over. END: and so is the thread to be."""

    END = auto()
    READY = auto()
    TIME = auto()


class StoppableThread:
    """Its end is told by a pipe, which every wait also waits for. Each run has its own, so that none outlives its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._writer = -1
        self._lock = threading.Lock()
        self._own = threading.local()

    def start(self, run: Callable[[], None]) -> None:
        """Once until it is stopped."""
        with self._lock:
            if self._thread is None:
                reader, self._writer = os.pipe()
                self._thread = threading.Thread(target=self._begin, args=(run, reader), name=self._name, daemon=True)
                self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Returns when the thread has ended, or after so many seconds. Not to be called by the thread itself."""
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            writer, self._writer = self._writer, -1
        if writer >= 0:
            os.close(writer)
        thread.join(seconds)
        with self._lock:
            if self._thread is thread:
                self._thread = None

    def _begin(self, run: Callable[[], None], reader: int) -> None:
        """The thread closes what it waits for: one that is left behind would wait for whatever gets the number next."""
        self._own.reader = reader
        try:
            run()
        finally:
            os.close(reader)

    def wait(self, file: int | None, seconds: float | None) -> Woken:
        """Until there is something to read from the file, if one is given, or the time is over, if there is one. In the thread alone."""
        reader: int = self._own.reader
        poll = select.poll()
        for each in (reader, file):
            if each is not None:
                poll.register(each, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if reader in ready:
            return Woken.END
        return Woken.READY if ready else Woken.TIME
