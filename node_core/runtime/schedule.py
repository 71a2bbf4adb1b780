"""The periodic pass: the safety net under everything that is pushed to us."""

from collections.abc import Callable
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

JITTER = 0.1
"""Part of the interval by which passes are spread, so that the nodes of a fleet do not act as one."""


class Passes:
    """Calls `due` every `interval` seconds, give or take the jitter. interval None: never."""

    def __init__(self, interval: float | None, due: Callable[[], None]) -> None:
        self._scheduler = BackgroundScheduler(timezone=UTC)
        if interval is not None:
            trigger = IntervalTrigger(
                seconds=max(1, round(interval)), jitter=max(1, round(interval * JITTER)), timezone=UTC
            )
            # the default grace of one second would skip runs silently on a busy node
            self._scheduler.add_job(due, trigger, coalesce=True, max_instances=1, misfire_grace_time=None)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
