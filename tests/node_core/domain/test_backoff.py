"""Delays between attempts that fail."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "chance", "seconds"),
    [(1, 0.0, 1.0), (1, 0.5, 1.5), (2, 0.0, 2.0), (3, 0.0, 4.0), (4, 0.0, 5.0), (4, 0.5, 7.5), (5, 0.0, 5.0)],
)
def test_a_delay_is_half_of_the_doubled_value_plus_jitter(failures: int, chance: float, seconds: float) -> None:
    assert Backoff(first=2, maximum=10).delay(failures, chance) == seconds


@pytest.mark.parametrize(("failures", "seconds"), [(30, 2.0**28), (31, 2.0**29), (32, 2.0**29), (10_000, 2.0**29)])
def test_a_delay_without_a_maximum_remains_finite(failures: int, seconds: float) -> None:
    assert Backoff(first=1, maximum=math.inf).delay(failures, 0.0) == seconds


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delays_double_up_to_the_maximum_and_half_of_a_delay_is_jitter(failures: int, chance: float) -> None:
    delay = Backoff(first=1, maximum=60).delay(failures, chance)
    ceiling = min(60, 2 ** min(failures - 1, 10))
    assert ceiling / 2 <= delay <= ceiling
