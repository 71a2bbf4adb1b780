"""The shared services of the agents: readiness, metrics, clocks and random numbers. Tests replace clocks and random numbers."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node_core.runtime.metrics import Metrics
from node_core.runtime.readiness import Readiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """clock: monotonic seconds. wall: Unix seconds. chance: uniform in [0, 1)."""

    readiness: Readiness = field(default_factory=Readiness)
    metrics: Metrics = field(default_factory=Metrics)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
