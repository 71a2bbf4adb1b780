"""Runs a call of NVML in a daemon thread with a deadline, because a call into a hanging driver does not return."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Generic, TypeVar

from gpu_core.nvml.api import TIMEOUT
from node_core.errors import NvmlError

Result = TypeVar("Result")

DRIVER_HANGS = "the NVIDIA driver hangs: check the kernel log for NVRM lines"


class BoundedCall(Generic[Result]):
    """function: may raise NvmlError. deadline: seconds after the start. While a call hangs, no other one starts.

    Used by one thread at a time.
    """

    def __init__(self, function: Callable[[], Result], deadline: float) -> None:
        self._function, self._deadline = function, deadline
        self._running: Future[Result] | None = None
        self._has_timed_out = False
        self._ends_at = 0.0

    @property
    def is_hanging(self) -> bool:
        """Whether a call has not returned at its deadline, and not since then."""
        return self._has_timed_out and self._running is not None and not self._running.done()

    def start(self) -> None:
        """Starts a call, unless one hangs. A hanging call does not prevent the end of the process."""
        if self.is_hanging:
            return
        self._running, self._has_timed_out = Future(), False
        self._ends_at = time.monotonic() + self._deadline
        threading.Thread(target=_run, args=(self._function, self._running), name="nvml", daemon=True).start()

    def result(self) -> Result:
        """Waits for the started call until its deadline. Raises NvmlError: the code is TIMEOUT if the call hangs."""
        if self._running is None or self.is_hanging:
            raise _timeout()
        try:
            return self._running.result(max(0.0, self._ends_at - time.monotonic()))
        except FutureTimeout:
            self._has_timed_out = True
            raise _timeout() from None


def _run(function: Callable[[], Result], running: "Future[Result]") -> None:
    try:
        running.set_result(function())
    except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
        running.set_exception(error)


def _timeout() -> NvmlError:
    return NvmlError("NVML", TIMEOUT, hint=DRIVER_HANGS)
