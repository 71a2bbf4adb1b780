"""Why a process is or is not ready, check by check, and whether its threads still turn."""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger(__name__)

STUCK_AFTER = 300.0
"""Seconds without a sign of life from an agent's thread before /healthz fails and the kubelet restarts us."""


class Readiness:
    """Checks by name, each without or with a problem. A change of a check's problem is one log line; no change is none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._problems: dict[str, str | None] = {}
        self._beats: dict[str, float] = {}

    def report(self, check: str, problem: str | None) -> None:
        """problem: a sentence for the person who looks, or None when all is well."""
        with self._lock:
            before = self._problems.get(check)
            known = check in self._problems
            self._problems[check] = problem
        if problem is not None and problem != before:
            log.warning("not_ready", check=check, why=problem)
        elif problem is None and known and before is not None:
            log.info("ready", check=check)

    def expect(self, check: str) -> None:
        """A check that has to succeed once before the process is ready; nothing is wrong yet, so nothing is logged."""
        with self._lock:
            self._problems.setdefault(check, "has not happened yet")

    def beat(self, thread: str) -> None:
        """A sign of life of an agent's thread, which also ends what `failed` said of it."""
        with self._lock:
            self._beats[thread] = self._clock()
            was_failed = self._problems.get(f"{thread}/running") is not None
        if was_failed:
            self.report(f"{thread}/running", None)

    def failed(self, thread: str, problem: str) -> None:
        """An agent's thread ended by a fault and will start over."""
        self.report(f"{thread}/running", problem)

    def problems(self) -> Mapping[str, str | None]:
        """Every check, sorted by name."""
        with self._lock:
            return dict(sorted(self._problems.items()))

    def stuck(self) -> tuple[str, ...]:
        """Agents whose thread gave no sign of life for too long."""
        now = self._clock()
        with self._lock:
            return tuple(sorted(name for name, beat in self._beats.items() if now - beat > STUCK_AFTER))
