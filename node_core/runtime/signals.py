"""A queue of signals and other notifications to the main thread, in the order of arrival.

Python runs signal handlers in the main thread, between two instructions. A signal that arrives just before the main thread waits, or in
another thread, would be handled only after the wait. Therefore the interpreter writes the number of each signal to a pipe at once
(signal.set_wakeup_fd), and the main thread reads the pipe.
"""

import os
import signal
from contextlib import suppress

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class SignalQueue:
    """Receives the signals in HANDLED, which then do not end the process. Create once, in the main thread."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, lambda *_: None)

    def post(self, number: int) -> None:
        """Queues a number that is not a signal number, at most 255. Callable from any thread."""
        with suppress(BlockingIOError):  # the pipe is full: the main thread has enough to read
            os.write(self._writer, bytes([number]))

    def get(self) -> int:
        """Waits for the next number. Call in the main thread."""
        return os.read(self._reader, 1)[0]
