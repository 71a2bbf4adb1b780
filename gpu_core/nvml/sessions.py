"""Counts the open NVML sessions of this process, and closes the long ones when NVML has to scan the bus.

NVML scans the bus only in the first session of a process, and closes the GPUs only with the last one. So an open session hides new GPUs,
and keeps a lost GPU lost, in all later sessions too. Source: nvmlInit_v2, nvmlShutdown.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet


class SessionHolder(Protocol):
    def yield_session(self) -> None:
        """Closes the open session soon, and opens another one. Does not block. Callable from any thread."""
        ...


class SessionCounter:
    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = self._waiting = 0
        self._holders: WeakSet[SessionHolder] = WeakSet()

    def add_holder(self, holder: SessionHolder) -> None:
        """Registers the holder of a long session, by a weak reference."""
        with self._condition:
            self._holders.add(holder)

    @contextmanager
    def count(self) -> Iterator[None]:
        """Counts a session while the session is open or is being opened. Waits while another thread waits until no session is open."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting == 0)
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
        """Asks the holders to close their sessions, and waits until no session is open. Returns False after the timeout."""
        with self._condition:
            self._waiting += 1
            holders = list(self._holders) if self._open else []
        try:
            for holder in holders:
                holder.yield_session()
            with self._condition:
                return self._condition.wait_for(lambda: self._open == 0, seconds)
        finally:
            with self._condition:
                self._waiting -= 1
                self._condition.notify_all()
