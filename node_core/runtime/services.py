"""The shared services of the agents: readiness, metrics, clocks and random numbers. Tests replace clocks and random numbers."""

import random
import time
from collections.abc import Callable

import msgspec

from node_core.runtime.metrics import Metrics
from node_core.runtime.readiness import Readiness


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """clock: monotonic seconds. wall: Unix seconds. chance: uniform in [0, 1)."""

    readiness: Readiness = msgspec.field(default_factory=Readiness)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
