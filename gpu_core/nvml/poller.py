"""Discovers the GPUs in a separate thread, so that a driver that hangs does not block the agent."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from node_core.errors import NodeError

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


def start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="discovery", daemon=True).start()


class InventoryPoller(Generic[Result]):
    """Runs one discovery at a time. Requests during a discovery cause exactly one more discovery.

    discover: may raise NodeError. wake: called when a result is available. start: runs a function, usually in a new thread.
    """

    def __init__(
        self,
        discover: Callable[[], Result],
        wake: Callable[[], None],
        *,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._discover = discover
        self._wake = wake
        self._start = start
        self._lock = threading.Lock()
        self._is_requested = False
        self._is_running = False
        self._result: Result | NodeError | None = None

    def request(self) -> None:
        """Requests a discovery that starts now or after the current one. If no thread can start, the result is a NodeError."""
        with self._lock:
            self._is_requested = True
            starts, self._is_running = not self._is_running, True
        if starts:
            try:
                self._start(self._run)
            except RuntimeError as error:
                with self._lock:
                    self._is_running = self._is_requested = False
                    self._result = NodeError(f"cannot start the discovery of GPUs: {error}")
                self._wake()

    def pop_result(self) -> Result | NodeError | None:
        """Returns the newest result once; None if there is no new result."""
        with self._lock:
            result, self._result = self._result, None
            return result

    def _run(self) -> None:
        while self._claim_request():
            result = self._discover_once()
            with self._lock:
                self._result = result
            self._wake()

    def _claim_request(self) -> bool:
        with self._lock:
            self._is_running, self._is_requested = self._is_requested, False
            return self._is_running

    def _discover_once(self) -> Result | NodeError:
        try:
            return self._discover()
        except NodeError as error:
            return error
        except Exception as error:  # an unexpected error in one discovery must not prevent the next
            log.exception("discovery_failed")
            return NodeError(f"the discovery of GPUs failed: {type(error).__name__}: {error}")
