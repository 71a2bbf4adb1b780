"""Intervals between passes."""

import pytest

from node_core.domain.duration import parse_interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1m30s", 90), ("1.5s", 1.5), ("1000ms", 1), ("2h", 7200), ("60", 60), (60, 60), (1.5, 1.5)],
)
def test_go_durations_and_plain_seconds_are_read(text: str | float, seconds: float) -> None:
    assert parse_interval(text) == seconds


def test_infinite_means_no_passes() -> None:
    assert parse_interval("infinite") is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not a duration"),
        ("soon", "not a duration"),
        ("60 s", "not a duration"),
        ("-5s", "not a duration"),
        ("1s2", "not a duration"),
        ("0", "below one second"),
        ("500ms", "below one second"),
        (60_000_000_000, "not nanoseconds"),
        (float("nan"), "more than a year"),
        (float("inf"), "more than a year"),
        ("9" * 400, "more than a year"),
    ],
)
def test_anything_else_says_what_is_wrong(text: str | float, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        parse_interval(text)
