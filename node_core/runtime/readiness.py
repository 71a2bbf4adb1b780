"""The readiness checks and liveness checks of a process."""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger(__name__)

STUCK_AFTER = 300.0
"""Seconds without a heartbeat of an agent's thread, after which /healthz fails and the kubelet restarts the container."""


class Readiness:
    """Checks by name, each with a problem or None. Each change of a problem is logged once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._problems: dict[str, str | None] = {}
        self._beats: dict[str, float] = {}
        self._living: tuple[Callable[[], str | None], ...] = ()

    def report(self, check: str, problem: str | None, *, is_expected: bool = False) -> None:
        """Sets the problem of a check, a sentence or None. is_expected: the problem is normal during a start, and is not a warning."""
        with self._lock:
            before = self._problems.get(check)
            known = check in self._problems
            self._problems[check] = problem
        if problem is not None and problem != before:
            (log.info if is_expected else log.warning)("not_ready", check=check, why=problem)
        elif problem is None and known and before is not None:
            log.info("ready", check=check)

    def expect(self, check: str) -> None:
        """Adds a check that must succeed before the process is ready. Logs nothing."""
        with self._lock:
            self._problems.setdefault(check, "not completed yet")

    def beat(self, thread: str) -> None:
        """Records a heartbeat of an agent's thread. Also clears the problem that `failed` reported."""
        with self._lock:
            self._beats[thread] = self._clock()
            was_failed = self._problems.get(f"{thread}/running") is not None
        if was_failed:
            self.report(f"{thread}/running", None)

    def failed(self, thread: str, problem: str) -> None:
        """Reports that an agent failed and will start again."""
        self.report(f"{thread}/running", problem)

    def problems(self) -> Mapping[str, str | None]:
        """Returns check -> problem, sorted by name."""
        with self._lock:
            return dict(sorted(self._problems.items()))

    def add_liveness_check(self, problem: Callable[[], str | None]) -> None:
        """Adds a check to /healthz. problem: returns a sentence if a thread or service has ended or does not respond, otherwise None.

        A service that was stopped deliberately has no problem. The threads of the health server call the check for each request.
        """
        with self._lock:
            self._living = (*self._living, problem)

    def liveness_problems(self) -> tuple[str, ...]:
        """Returns a sentence for each thread or service that has ended or does not respond. Only a restart of the process helps."""
        stuck = [f"{name} did not respond for {STUCK_AFTER:.0f} s" for name in self.stuck()]
        return (*stuck, *filter(None, (problem() for problem in self._living)))

    def stuck(self) -> tuple[str, ...]:
        """Returns the agents whose last heartbeat is older than STUCK_AFTER."""
        now = self._clock()
        with self._lock:
            return tuple(sorted(name for name, beat in self._beats.items() if now - beat > STUCK_AFTER))
