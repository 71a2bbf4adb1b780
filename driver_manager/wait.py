"""Waits for an end, with a limit. The clock and the pauses are parameters, so that tests do not sleep."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """clock: monotonic seconds. sleep: waits for seconds."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until_empty(
        self, read: Callable[[], tuple[T, ...]], seconds: float = math.inf, pause: float = PAUSE_SECONDS
    ) -> tuple[T, ...]:
        """Reads until the result is empty, at least once. Returns what is left after `seconds`, usually nothing.

        pause: seconds between two reads.
        """
        end = self.clock() + seconds
        while (left := read()) and (remaining := end - self.clock()) > 0:
            self.sleep(min(pause, remaining))
        return left
