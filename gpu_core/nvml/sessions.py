"""Counts the open NVML sessions of this process.

NVML scans the bus only in the first session of a process, and closes the GPUs only with the last one. So an open session hides new GPUs,
and keeps a lost GPU lost, in all later sessions too. Source: nvmlInit_v2, nvmlShutdown.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SessionCounter:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = 0

    @contextmanager
    def count(self) -> Iterator[None]:
        """Counts a session while the session is open or is being opened."""
        with self._condition:
            self._open += 1
        try:
            yield
        finally:
            with self._condition:
                self._open -= 1
                self._condition.notify_all()

    @property
    def is_only_session(self) -> bool:
        """Whether the caller's session is the only one."""
        return self._open == 1

    def wait_until_none(self, seconds: float) -> bool:
        """Waits until no session is open. Returns False after the timeout."""
        with self._condition:
            return self._condition.wait_for(lambda: self._open == 0, seconds)
