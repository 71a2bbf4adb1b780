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
    """Its end is told by a pipe, which every wait also waits for."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._reader, self._writer = -1, -1

    def start(self, run: Callable[[], None]) -> None:
        """Once until it is stopped."""
        if self._thread is None:
            self._reader, self._writer = os.pipe()
            self._thread = threading.Thread(target=run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Returns when the thread has ended, or after so many seconds. Not to be called by the thread itself."""
        if self._thread is None:
            return
        os.close(self._writer)
        self._thread.join(seconds)
        if not self._thread.is_alive():  # one that is left behind would wait for whatever gets the number next
            os.close(self._reader)
        self._thread = None

    def wait(self, file: int | None, seconds: float | None) -> Woken:
        """Until there is something to read from the file, if one is given, or the time is over, if there is one."""
        poll = select.poll()
        for each in (self._reader, file):
            if each is not None:
                poll.register(each, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self._reader in ready:
            return Woken.END
        return Woken.READY if ready else Woken.TIME
