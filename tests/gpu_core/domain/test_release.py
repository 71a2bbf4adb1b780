"""The duration of a release request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.release import DEFAULT_SECONDS, MAX_SECONDS, ReleaseRequest, parse_seconds, seconds_left


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", DEFAULT_SECONDS), ("\n", DEFAULT_SECONDS), ("10m", 600.0), (" 90s\n", 90.0), ("5", 5.0), ("1h", MAX_SECONDS)],
)
def test_a_request_contains_a_duration_or_is_empty(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["garbage", "infinite", "61m", "-5", "0s", "nan", "10m; rm -rf /", "\0\0", "1h1s", "9" * 60]
)
def test_an_invalid_duration_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_seconds(text)


@given(st.floats(1, MAX_SECONDS), st.floats(-1e12, 1e12))
def test_no_clock_extends_a_request_beyond_its_duration(seconds: float, age: float) -> None:
    assert 0 <= seconds_left(seconds, age) <= seconds


def test_each_kind_of_request_has_a_sentence() -> None:
    assert ReleaseRequest(name="a", left=5.0).sentence == "the release request a keeps NVML closed for another 5 s"
    assert "has expired" in ReleaseRequest(name="a").sentence
    assert "is ignored: not a regular file" in ReleaseRequest(name="a", problem="not a regular file").sentence


@pytest.mark.parametrize("text", ["garbage", "0s"])
def test_infinite_is_not_suggested_for_a_request(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        parse_seconds(text)
    assert "infinite" not in str(caught.value)
