"""A daemon thread that can be stopped while it waits for a file descriptor or a timeout."""

import os
import select
import threading
from collections.abc import Callable
from enum import Enum, auto


class WakeReason(Enum):
    """Why a wait ended. STOP: the thread has to end. READY: the file is readable."""

    STOP = auto()
    READY = auto()
    TIMEOUT = auto()


class StoppableThread:
    """`stop` closes a pipe that every wait polls. Each run has its own pipe, so a new run does not affect an old thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._writer: int | None = None
        self._lock = threading.Lock()
        self._local = threading.local()
        self._failure: str | None = None

    def start(self, run: Callable[[], None]) -> None:
        """Starts the thread, unless it runs already. Raises RuntimeError if the system cannot create a thread."""
        with self._lock:
            if self._thread is None:
                self._failure = None
                reader, writer = os.pipe()
                thread = threading.Thread(target=self._run_and_close, args=(run, reader), name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    os.close(reader)
                    os.close(writer)
                    raise
                self._thread, self._writer = thread, writer

    def stop(self, seconds: float | None = None) -> None:
        """Returns when the thread has ended, or after this number of seconds. Must not be called in the thread itself."""
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            os.close(writer)
        thread.join(seconds)
        with self._lock:
            if self._thread is thread:
                self._thread = None

    def _run_and_close(self, run: Callable[[], None], reader: int) -> None:
        """The thread closes its own end of the pipe, because an abandoned thread must not poll a reused descriptor."""
        self._local.reader = reader
        try:
            run()
        except BaseException as error:
            self._failure = f"the thread {self._name} has ended: {type(error).__name__}: {error}"
            raise
        finally:
            os.close(reader)

    def liveness_problem(self) -> str | None:
        """Returns a sentence if an exception ended the thread, or else None. Callable from any thread."""
        return self._failure

    def wait(self, file: int | None, seconds: float | None) -> WakeReason:
        """Waits until the file is readable or the timeout is over. Both are optional. Call only in the thread itself."""
        reader: int = self._local.reader
        poll = select.poll()
        for each in (reader, file):
            if each is not None:
                poll.register(each, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if reader in ready:
            return WakeReason.STOP
        return WakeReason.READY if ready else WakeReason.TIMEOUT


class ThreadedService:
    """A process.BackgroundService with one thread. stop_seconds: how long `stop` waits for the thread, None for no limit."""

    stop_seconds: float | None = None

    def __init__(self, name: str) -> None:
        self._thread = StoppableThread(name)

    def stop(self) -> None:
        """Returns when the thread has ended, or after `stop_seconds`. Must not be called in the thread itself."""
        self._thread.stop(self.stop_seconds)

    def liveness_problem(self) -> str | None:
        """See StoppableThread."""
        return self._thread.liveness_problem()
