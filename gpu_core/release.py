"""Closes all NVML sessions of this process while a request file exists, and reopens them afterwards. Requests: see `domain.release`.

This module informs the users of NVML in this process. `nvml.lock` informs other processes.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import structlog

from gpu_core.domain.release import ReleaseRequest
from gpu_core.host.release_requests import FOLDER, read_requests
from gpu_core.nvml.lock import NvmlLock
from node_core.host.inotify import DirectoryWatch
from node_core.runtime import metrics
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from node_core.runtime.metrics import Metrics

log = structlog.get_logger(__name__)

RETRY = 1.0
"""Seconds until an incomplete step is tried again."""


class NvmlUser(Protocol):
    """A user of NVML. Both methods may be called twice in a row."""

    def release(self) -> bool:
        """Opens no session until `acquire`. Returns True if no session is open any more."""
        ...

    def acquire(self) -> None:
        """Allows sessions again."""
        ...


class NvmlReleaseController:
    """Releases and acquires NVML for a process.

    lock_dir: the parent of the folder of requests. None: the default folder, and no lock that other processes see.
    program: the name in the lock. wall: Unix seconds, for the age of request files.

    A process that runs once obeys the requests that exist when it starts. `activate` and `start` are for long-running processes.
    """

    def __init__(
        self,
        lock_dir: Path | None,
        program: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = (lock_dir or DEFAULT_DIRECTORY) / FOLDER
        self._clock, self._wall = clock, wall
        self._program = program
        self._lock = NvmlLock(lock_dir, program)
        self._step_lock, self._users_lock = threading.Lock(), threading.Lock()
        self._ends: dict[tuple[str, tuple[int, int]], float] = {}
        self._logged: frozenset[str] = frozenset()
        self._users: WeakSet[NvmlUser] = WeakSet()
        self._watch = DirectoryWatch(self._folder, self.step, contents=True)
        self._timer: threading.Timer | None = None
        self._metrics: Metrics | None = None
        self._changed: Callable[[], None] = lambda: None
        self._is_active = self._is_complete = False
        self.is_released = self._seconds_left() > 0

    def add(self, user: NvmlUser) -> None:
        """Registers a user of NVML, by a weak reference. During a release the user is released at once."""
        with self._users_lock:
            self._users.add(user)
            if self.is_released:
                user.release()

    def activate(self, metrics_: Metrics, changed: Callable[[], None]) -> None:
        """Call before this process opens NVML. changed: called when a release is complete and when a release ends."""
        self._metrics, self._changed, self._is_active = metrics_, changed, True
        self._set_complete(False)
        if not self.is_released and not self._lock.acquire():
            self._release_users()
        self.step()

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._is_active = False
        self._watch.stop()
        with self._step_lock:
            self._schedule(None)
            self._lock.release()

    def liveness_problem(self) -> str | None:
        """See StoppableThread."""
        return self._watch.liveness_problem()

    @property
    def requests(self) -> tuple[ReleaseRequest, ...]:
        return read_requests(self._folder, self._wall)

    def step(self) -> None:
        """Obeys the present requests. Callable from any thread."""
        with self._step_lock:
            if not self._is_active:
                return
            left = self._seconds_left()
            if left > 0:
                self._schedule(left if self._release() else min(left, RETRY))
            else:
                self._schedule(None if self._acquire() else RETRY)

    def _seconds_left(self) -> float:
        """Seconds until the last request ends; 0 without requests. After the first read of a request, only the monotonic clock counts."""
        now, requests = self._clock(), self.requests
        ends = {(each.name, each.identity): now + each.left for each in requests if each.problem is None}
        self._ends = ends | {key: end for key, end in self._ends.items() if key in ends}
        self._log_invalid(requests)
        return max(0.0, *(end - now for end in self._ends.values()), 0.0)

    def _log_invalid(self, requests: tuple[ReleaseRequest, ...]) -> None:
        """Logs each invalid request once."""
        problems = frozenset(each.sentence for each in requests if each.problem is not None)
        for sentence in sorted(problems - self._logged):
            log.warning("release_request_ignored", why=sentence)
        self._logged = problems

    def _release_users(self) -> bool:
        """Forbids new NVML sessions. Returns True if no session is open."""
        with self._users_lock:
            self.is_released, users = True, list(self._users)
        return all([user.release() for user in users])  # noqa: C419 - every user is released, even after the first False

    def _release(self) -> bool:
        """Releases NVML. Returns True if every session is closed."""
        if self._is_complete:
            return True
        if not self._release_users():
            return False
        self._lock.release()
        self._set_complete(True)
        log.info(
            "nvml_released",
            requests=[each.name for each in self.requests],
            effect="labels and devices do not change",
        )
        self._changed()
        return True

    def _acquire(self) -> bool:
        """Ends the release. Returns True if the release has ended.

        Requests are read again after the lock is acquired, because a request may have arrived before that.
        """
        if not self.is_released:
            return True
        if not self._lock.acquire():
            return False
        if self._seconds_left() > 0:
            self._lock.release()
            return False
        with self._users_lock:
            self.is_released, users = False, list(self._users)
        for user in users:
            user.acquire()
        if self._is_complete:
            log.info("nvml_reacquired")
        self._set_complete(False)
        self._changed()
        return True

    def _set_complete(self, is_complete: bool) -> None:
        self._is_complete = is_complete
        if self._metrics is not None:
            self._metrics.set(metrics.NVML_RELEASED, float(is_complete), agent=self._program)

    def _schedule(self, seconds: float | None) -> None:
        """Calls `step` after these seconds; None cancels the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else threading.Timer(seconds, self.step)
        if self._timer is not None:
            self._timer.daemon, self._timer.name = True, "release"
            self._timer.start()
