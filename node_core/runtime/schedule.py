"""The periodic pass, which also applies changes whose notifications were lost."""

import random
from collections.abc import Callable

from node_core.host.stoppable_thread import ThreadedService, WakeReason

JITTER = 0.1
"""Maximum random change of the interval, as a fraction. The change prevents passes of all nodes at the same time."""
SHORTEST = 1.0
"""Minimum seconds between two passes."""


def next_delay(interval: float, chance: float) -> float:
    """Returns the seconds until the next pass. chance: uniform in [0, 1)."""
    return max(SHORTEST, interval) * (1 + JITTER * (2 * chance - 1))


class PeriodicTrigger(ThreadedService):
    """Calls `due` every `interval` seconds, with jitter, in a separate thread. interval: None for never."""

    def __init__(
        self, interval: float | None, due: Callable[[], None], *, chance: Callable[[], float] = random.random
    ) -> None:
        self._interval = interval
        self._due = due
        self._chance = chance
        super().__init__("periodic-trigger")

    def start(self) -> None:
        if (interval := self._interval) is not None:
            self._thread.start(lambda: self._run(interval))

    def _run(self, interval: float) -> None:
        while self._thread.wait(None, next_delay(interval, self._chance())) is WakeReason.TIMEOUT:
            self._due()
