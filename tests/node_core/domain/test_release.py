"""How long a request for free GPUs lasts, whatever stands in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.release import MOST, USUAL, Request, parse_seconds, seconds_left


@pytest.mark.parametrize(
    ("text", "seconds"), [("", USUAL), ("\n", USUAL), ("10m", 600.0), (" 90s\n", 90.0), ("5", 5.0), ("1h", MOST)]
)
def test_a_request_says_for_how_long_or_nothing(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["garbage", "infinite", "61m", "-5", "0s", "nan", "10m; rm -rf /", "\0\0", "1h1s", "9" * 60]
)
def test_what_is_no_such_time_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_seconds(text)


@given(st.floats(1, MOST), st.floats(-1e12, 1e12))
def test_no_clock_makes_a_request_longer_than_it_says(seconds: float, age: float) -> None:
    assert 0 <= seconds_left(seconds, age) <= seconds


def test_each_kind_of_request_is_a_sentence() -> None:
    assert Request(name="a", left=5.0).sentence == "a asks for free GPUs for another 5 s"
    assert "its time is over" in Request(name="a").sentence
    assert "no request for free GPUs: it is no file" in Request(name="a", problem="it is no file").sentence
