"""Runs validations in a separate thread, one at a time, so that a driver or a runtime that hangs does not block the agent."""

import threading
from collections.abc import Callable

import structlog

from gpu_validator.check import Report

log = structlog.get_logger(__name__)


def start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="validation", daemon=True).start()


class ValidationRunner:
    """wake: called when a validation has ended. start: runs a function in a thread."""

    def __init__(self, wake: Callable[[], None], *, start: Callable[[Callable[[], None]], None] = start_thread) -> None:
        self._wake, self._start = wake, start
        self._lock = threading.Lock()
        self._report: Report | None = None
        self.is_running = False

    def begin(self, validate: Callable[[], Report]) -> None:
        """Starts a validation. The caller ensures that none is running. If no thread can start, there is no result."""
        self.is_running = True
        try:
            self._start(lambda: self._run(validate))
        except RuntimeError:
            log.exception("validation_not_started")
            self._finish(None)

    def pop_report(self) -> tuple[bool, Report | None]:
        """Returns whether a validation has ended since the last call, and its result; None for an unexpected error."""
        with self._lock:
            has_ended = self.is_running and self._has_ended
            report, self._report = self._report, None
            if has_ended:
                self.is_running, self._has_ended = False, False
            return has_ended, report

    _has_ended = False

    def _run(self, validate: Callable[[], Report]) -> None:
        report = None
        try:
            report = validate()
        except Exception:  # an unexpected error in one validation must not prevent the next
            log.exception("validation_failed")
        self._finish(report)

    def _finish(self, report: Report | None) -> None:
        with self._lock:
            self._report, self._has_ended = report, True
        self._wake()
