"""Gives all NVML handles of this process up while somebody asks for it, and takes them again. See `domain.release` for how one asks.

Looks and the event watch of this process are told here; what other processes are to know of it is in `host.nvml.lock`.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from node_core.domain.release import Request
from node_core.host.inotify import DirectoryWatch
from node_core.host.nvml.lock import NvmlLock
from node_core.host.release_requests import FOLDER, read_requests
from node_core.runtime import metrics
from node_core.runtime.instance import DEFAULT_DIRECTORY
from node_core.runtime.metrics import Metrics

log = structlog.get_logger(__name__)

RETRY = 1.0
"""Seconds until what could not be done at once is tried again."""


class Held(Protocol):
    """Something that opens NVML. release: until `take` it does not; whether it has none open by now. Both may come twice."""

    def release(self) -> bool: ...

    def take(self) -> None: ...


class Releases:
    """lock_dir: below it are the requests; without one they are in the usual folder, and nobody is told of us.

    program: as other processes are told of it. wall: Unix seconds; it dates files, once each.

    A process that only looks once obeys what is asked for when it begins. `begin` and `start` are for one that lives on.
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
        self._stepping, self._listing = threading.Lock(), threading.Lock()
        self._ends: dict[tuple[str, tuple[int, int]], float] = {}
        self._told: frozenset[str] = frozenset()
        self._held: list[Held] = []
        self._watch = DirectoryWatch(self._folder, self.step, contents=True)
        self._timer: threading.Timer | None = None
        self._metrics: Metrics | None = None
        self._changed: Callable[[], None] = lambda: None
        self._is_live = self._is_free = False
        self.is_released = self._wanted() > 0

    def add(self, held: Held) -> None:
        """From now on it is told. One that comes while nothing may be open is told so before it begins."""
        with self._listing:
            self._held.append(held)
            if self.is_released:
                held.release()

    def drop(self, held: Held) -> None:
        with self._listing:
            self._held = [each for each in self._held if each is not held]

    def begin(self, metrics_: Metrics, changed: Callable[[], None]) -> None:
        """Before anything of this process opens NVML. changed: called when looks are refused from now on, and when they work again."""
        self._metrics, self._changed, self._is_live = metrics_, changed, True
        self._say(is_free=False)
        if not self.is_released and not self._lock.hold():
            self._refuse()
        self.step()

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._is_live = False
        self._watch.stop()
        with self._stepping:
            self._after(None)
            self._lock.let_go()

    @property
    def requests(self) -> tuple[Request, ...]:
        return read_requests(self._folder, self._wall)

    def step(self) -> None:
        """Does what is asked for now, in any thread."""
        with self._stepping:
            if not self._is_live:
                return
            left = self._wanted()
            if left > 0:
                self._after(left if self._give_up() else min(left, RETRY))
            else:
                self._after(None if self._take() else RETRY)

    def _wanted(self) -> float:
        """Seconds for which the GPUs are to be free. From when a request was first seen only the monotonic clock counts."""
        now, requests = self._clock(), self.requests
        ends = {(each.name, each.identity): now + each.left for each in requests if each.problem is None}
        self._ends = ends | {key: end for key, end in self._ends.items() if key in ends}
        self._tell(requests)
        return max(0.0, *(end - now for end in self._ends.values()), 0.0)

    def _tell(self, requests: tuple[Request, ...]) -> None:
        """Of files that ask for nothing, each once."""
        problems = frozenset(each.sentence for each in requests if each.problem is not None)
        for sentence in sorted(problems - self._told):
            log.warning("release_request_ignored", why=sentence)
        self._told = problems

    def _refuse(self) -> bool:
        """Nothing may open NVML from now on; whether nothing has it open."""
        with self._listing:
            self.is_released, held = True, list(self._held)
        told = [each.release() for each in held]
        return all(told)

    def _give_up(self) -> bool:
        """Whether all is free."""
        if self._is_free:
            return True
        if not self._refuse():
            return False
        self._lock.let_go()
        self._say(is_free=True)
        log.info(
            "nvml_released",
            requests=[each.name for each in self.requests],
            effect="labels and devices stay as they are",
        )
        self._changed()
        return True

    def _take(self) -> bool:
        """Whether all is as usual. Who asks between our look and the lock has seen nobody hold it, so it is looked again."""
        if not self.is_released:
            return True
        if not self._lock.hold():
            return False
        if self._wanted() > 0:
            self._lock.let_go()
            return False
        with self._listing:
            self.is_released, held = False, list(self._held)
        for each in held:
            each.take()
        if self._is_free:
            log.info("nvml_taken_again")
        self._say(is_free=False)
        self._changed()
        return True

    def _say(self, *, is_free: bool) -> None:
        self._is_free = is_free
        if self._metrics is not None:
            self._metrics.set(metrics.NVML_RELEASED, float(is_free), agent=self._program)

    def _after(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else threading.Timer(seconds, self.step)
        if self._timer is not None:
            self._timer.daemon, self._timer.name = True, "release"
            self._timer.start()
