"""Intervals between passes."""

import pytest

from node_core.domain.duration import parse_duration, parse_interval, parse_sleep_interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1m30s", 90), ("1.5s", 1.5), ("1000ms", 1), ("2h", 7200), ("60", 60), (60, 60), (1.5, 1.5)],
)
def test_go_durations_and_numbers_of_seconds_are_parsed(text: str | float, seconds: float) -> None:
    assert parse_interval(text) == seconds


def test_infinite_disables_periodic_passes() -> None:
    assert parse_interval("infinite") is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not a duration"),
        ("soon", "not a duration"),
        ("60 s", "not a duration"),
        ("-5s", "not a duration"),
        ("1s2", "not a duration"),
        ("0", "less than one second"),
        ("500ms", "less than one second"),
        (60_000_000_000, "more than a year"),
        (float("nan"), "more than a year"),
        (float("inf"), "more than a year"),
        ("9" * 400, "more than a year"),
    ],
)
def test_an_invalid_interval_is_an_error_with_a_reason(text: str | float, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        parse_interval(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m0s", 60), (30, 30), ("5ms", 1), (0.2, 1), (60_000_000_000, 60), (100_000_000, 1), ("60000000000", 60),
        (0, None), ("0s", None), ("0", None), (-1, None), ("-1", None), ("-5s", None), ("infinite", None),
    ],
)  # fmt: skip
def test_a_sleep_interval_is_read_as_upstream_reads_it(text: str | float, seconds: float | None) -> None:
    assert parse_sleep_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "--5s", "- 5", "9" * 400, float("nan"), float("inf"), "10000h"])
def test_a_sleep_interval_that_is_none_is_an_error(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"not a duration|more than a year"):
        parse_sleep_interval(text)


@pytest.mark.parametrize("text", ["soon", "0", "9" * 400])
def test_infinite_is_suggested_only_where_it_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match=r", or infinite$"):
        parse_interval(text)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        parse_duration(text)
    assert "infinite" not in str(caught.value)


def test_a_duration_is_not_infinite() -> None:
    with pytest.raises(ValueError, match="'infinite' is not a duration"):
        parse_duration("infinite")
    with pytest.raises(ValueError, match=r"'soon' is not a duration.*, or infinite$"):
        parse_sleep_interval("soon")
