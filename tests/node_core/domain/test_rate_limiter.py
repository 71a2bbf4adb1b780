"""Bursts pass without a delay, and a permanent stream of calls is delayed."""

from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.rate_limiter import RateLimiter


def turns(limiter: RateLimiter, times: list[float]) -> list[float]:
    """Returns the time of each reservation. A call that arrives before the previous reservation waits for that reservation."""
    reserved_until, at, granted = 0.0, 0.0, []
    for now in times:
        at, reserved_until = limiter.reserve(reserved_until, max(now, at))
        granted.append(at)
    return granted


def test_a_burst_passes_at_once_and_later_calls_wait() -> None:
    limiter = RateLimiter(interval=2.0, burst=3)
    assert turns(limiter, [100.0] * 6) == [100.0, 100.0, 100.0, 102.0, 104.0, 106.0]


def test_idle_time_restores_the_burst() -> None:
    limiter = RateLimiter(interval=2.0, burst=3)
    assert turns(limiter, [100.0] * 4 + [110.0] * 3) == [100.0, 100.0, 100.0, 102.0, 110.0, 110.0, 110.0]


def test_calls_below_the_rate_never_wait() -> None:
    times = [100.0 + 2.0 * number for number in range(50)]
    assert turns(RateLimiter(interval=2.0, burst=1), times) == times


@given(st.lists(st.floats(0, 100)), st.integers(1, 10), st.floats(0.1, 10))
def test_the_rate_is_never_exceeded(times: list[float], burst: int, interval: float) -> None:
    granted = turns(RateLimiter(interval=interval, burst=burst), sorted(times))
    for first, start in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= burst + (granted[last] - start) / interval + 1e-6
