"""Bursts go through at once, what does not end is slowed down."""

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.pace import Pace


def turns(pace: Pace, asked: list[float]) -> list[float]:
    """When each is granted; nobody asks before the one before was."""
    booked, at, granted = 0.0, 0.0, []
    for now in asked:
        at, booked = pace.turn(booked, max(now, at))
        granted.append(at)
    return granted


def test_a_burst_is_at_once_and_then_each_waits_its_turn() -> None:
    pace = Pace(every=2.0, burst=3)
    assert turns(pace, [100.0] * 6) == [100.0, 100.0, 100.0, 102.0, 104.0, 106.0]


def test_after_a_quiet_time_there_is_a_burst_again() -> None:
    pace = Pace(every=2.0, burst=3)
    assert turns(pace, [100.0] * 4 + [110.0] * 3) == [100.0, 100.0, 100.0, 102.0, 110.0, 110.0, 110.0]


def test_who_asks_slowly_never_waits() -> None:
    asked = [100.0 + 2.0 * number for number in range(50)]
    assert turns(Pace(every=2.0, burst=1), asked) == asked


@given(st.lists(st.floats(0, 100)), st.integers(1, 10), st.floats(0.1, 10))
def test_in_any_time_there_are_no_more_turns_than_the_pace_says(asked: list[float], burst: int, every: float) -> None:
    granted = turns(Pace(every=every, burst=burst), sorted(asked))
    for first, start in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + (granted[last] - start) / every + 1e-6
