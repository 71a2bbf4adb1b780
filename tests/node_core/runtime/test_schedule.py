"""Periodic passes: their interval, their random offset between nodes, and none without an interval."""

import threading

import pytest

from node_core.runtime.schedule import SHORTEST, PeriodicTrigger, next_delay


@pytest.mark.parametrize(
    ("interval", "chance", "delay"),
    [(60.0, 0.0, 54.0), (60.0, 0.5, 60.0), (60.0, 1.0, 66.0), (0.0, 0.5, SHORTEST), (0.1, 1.0, 1.1 * SHORTEST)],
)
def test_passes_are_spread_by_a_tenth_of_the_interval(interval: float, chance: float, delay: float) -> None:
    assert next_delay(interval, chance) == pytest.approx(delay)


def test_passes_are_repeated_until_the_trigger_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node_core.runtime.schedule.SHORTEST", 0.001)
    due = threading.Semaphore(0)
    trigger = PeriodicTrigger(0.001, due.release)
    trigger.start()
    assert all(due.acquire(timeout=60) for _ in range(3))
    trigger.stop()
    assert trigger.liveness_problem() is None
    assert not any(thread.name == "periodic-trigger" for thread in threading.enumerate())


def test_without_an_interval_there_are_no_passes() -> None:
    trigger = PeriodicTrigger(None, lambda: pytest.fail("a pass came"))
    trigger.start()
    assert not any(thread.name == "periodic-trigger" for thread in threading.enumerate())
    trigger.stop()
