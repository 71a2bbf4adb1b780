"""Runs attempts in a separate thread, so that a driver or an API server that hangs does not block the agent."""

import threading
from collections.abc import Callable

import structlog

from mig_manager.outcome import Failed, Outcome, Reason, Request

log = structlog.get_logger(__name__)

STOP_SECONDS = 1.0
"""How long `close` waits for the running attempt."""
_EXCLUSIVE = threading.Lock()
"""Held during an attempt. New agents replace the agents of a process while an attempt of the previous agent may still run."""


def start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="mig-change", daemon=True).start()


class Attempts:
    """Runs one attempt at a time. run: one attempt. wake: called when a result is available. end: called at the end of the process.

    start: runs a function in a thread.
    """

    def __init__(
        self,
        run: Callable[[Request], Outcome],
        wake: Callable[[], None],
        *,
        end: Callable[[], None] = lambda: None,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._run, self._wake, self._end, self._start = run, wake, end, start
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._result: tuple[Request, Outcome] | None = None
        self.current: Request | None = None

    def begin(self, request: Request) -> None:
        """Starts an attempt. The caller ensures that none is running. If no thread can start, the attempt has failed."""
        self.current = request
        self._ended.clear()
        try:
            self._start(lambda: self._attempt(request))
        except RuntimeError as error:
            self._finish(request, Failed(reason=Reason.FAILED, message=f"cannot start a thread: {error}"))

    def pop_result(self) -> tuple[Request, Outcome] | None:
        """Returns the result of the last attempt once; None while the attempt runs."""
        with self._lock:
            result, self._result = self._result, None
        if result is not None:
            self.current = None
        return result

    def close(self, *, is_final: bool) -> None:
        """Waits for the end of a running attempt, for STOP_SECONDS at most. The journal completes a change that does not end."""
        if self.current is not None:
            self._ended.wait(STOP_SECONDS)
        if is_final:
            self._end()

    def _attempt(self, request: Request) -> None:
        try:
            with _EXCLUSIVE:
                outcome = self._run(request)
        except Exception as error:  # an unexpected error in one attempt must not prevent the next
            log.exception("mig_attempt_failed")
            outcome = Failed(reason=Reason.FAILED, message=f"{type(error).__name__}: {error}")
        self._finish(request, outcome)

    def _finish(self, request: Request, outcome: Outcome) -> None:
        with self._lock:
            self._result = (request, outcome)
        self._ended.set()
        self._wake()
