"""How many NVML sessions this process has open.

NVML counts them too: only the first of them looks at the bus, and only with the last one are the GPUs let go. Whoever keeps a session
open therefore hides GPUs that come, and keeps a lost one lost, also from sessions that begin later. Source: nvmlInit_v2, nvmlShutdown.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Sessions:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Counts a session for as long as it is open, or tries to open."""
        with self._condition:
            self._open += 1
        try:
            yield
        finally:
            with self._condition:
                self._open -= 1
                self._condition.notify_all()

    @property
    def is_one(self) -> bool:
        """Whether there is no other than that of who asks."""
        return self._open == 1

    def wait_until_none(self, seconds: float) -> bool:
        """Whether there was a moment without a session within that time."""
        with self._condition:
            return self._condition.wait_for(lambda: self._open == 0, seconds)
