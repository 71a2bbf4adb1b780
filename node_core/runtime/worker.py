"""A thread that writes to the API server for the agents. Therefore an API server that does not respond does not block an agent."""

import threading
from abc import ABC, abstractmethod

import structlog

from node_core.domain.backoff import Backoff
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

RETRIES = Backoff(first=1.0, maximum=60.0)
STOP_SECONDS = 1.0
"""Maximum seconds that `stop` waits for the current request."""


class Worker(ABC):
    """Calls `step` while there is work, with a back-off after failures. `_changed` guards the state that other threads set."""

    def __init__(self, name: str, services: Services, retries: Backoff = RETRIES) -> None:
        self._services, self._retries = services, retries
        self._changed = threading.Condition()
        self._is_ending = False
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def step(self) -> bool:
        """Does the work. Returns False if a retry is necessary. Return `_succeeded()` or `_failed()`, which control the back-off."""

    @abstractmethod
    def _has_work(self) -> bool:
        """Whether `step` must be called. Called with `_changed` held."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        """Returns a sentence if the thread has ended before `stop`, otherwise None. Callable from any thread."""
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._is_ending
        return f"the thread {self._thread.name} has ended" if is_dead else None

    def _succeeded(self) -> bool:
        """Returns the result of a successful `step`. Resets the back-off."""
        self._failures = 0
        return True

    def _failed(self, event: str, error: Exception) -> bool:
        """Returns the result of a failed `step`. Logs the event at the first of consecutive failures."""
        self._failures += 1
        if self._failures == 1:
            log.warning(event, why=str(error))
        return False

    def _run(self) -> None:
        while self._wait():
            if not self.step():
                self._pause(self._retries.delay(self._failures, self._services.chance()))

    def _wait(self) -> bool:
        """Waits for work. Returns False after `stop`."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or self._has_work())
            return not self._is_ending

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending, seconds)
