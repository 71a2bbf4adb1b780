"""Queues GPU events from the watch threads for the agent's thread. Repeated Xids are counted, so a storm does not fill the memory."""

import threading
from collections.abc import Callable

import msgspec

from gpu_core.domain.evidence import XidEvent
from node_core.errors import NodeError
from node_core.values import replace

MAX_XIDS = 1024
"""The maximum number of different Xids between two calls of `drain`. Further Xids are dropped."""


class DrainedXids(msgspec.Struct, frozen=True, kw_only=True):
    """xids: the newest event of each different Xid, with its count. needs_discovery: another event occurred, such as a MIG change."""

    xids: tuple[XidEvent, ...] = ()
    needs_discovery: bool = False


class XidQueue:
    """wake: called when the queue has new content. problem: why NVML events are not available; None if they are. Thread-safe."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.problem: str | None = None
        self._wake = wake
        self._lock = threading.Lock()
        self._xids: dict[tuple[object, ...], XidEvent] = {}
        self._needs_discovery = False

    def add(self, event: XidEvent) -> None:
        key = (event.gpu, event.address, event.gpu_instance, event.xid, event.source)
        with self._lock:
            was_empty, before = not self._xids, self._xids.get(key)
            if before is None and len(self._xids) >= MAX_XIDS:
                return
            self._xids[key] = replace(event, count=event.count + before.count) if before else event
        if was_empty:
            self._wake()

    def request_discovery(self, *_: object) -> None:
        """Requests a discovery, because the GPUs have changed."""
        with self._lock:
            self._needs_discovery = True
        self._wake()

    def set_problem(self, error: NodeError | None) -> None:
        """Sets the reason why events are not available; None if they are available again. A driver change can cause both."""
        self.problem = None if error is None else str(error)
        self.request_discovery()

    def drain(self) -> DrainedXids:
        """Returns everything since the last call, and empties the queue."""
        with self._lock:
            drained = DrainedXids(xids=tuple(self._xids.values()), needs_discovery=self._needs_discovery)
            self._xids, self._needs_discovery = {}, False
            return drained
