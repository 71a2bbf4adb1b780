from datetime import UTC, datetime

import pytest

from node_core.simulate.apiserver.ages import age_of, human_duration

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (3 * MINUTE + 20, "3m20s"),
        (15 * MINUTE + 20, "15m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (5 * HOUR + 30 * MINUTE, "5h30m"),
        (47 * HOUR + 59 * MINUTE, "47h"),
        (2 * DAY + 4 * HOUR, "2d4h"),
        (8 * DAY + HOUR, "8d"),
        (400 * DAY, "400d"),
        (3 * 365 * DAY + 20 * DAY, "3y20d"),
        (9 * 365 * DAY + 20 * DAY, "9y"),
    ],
)
def test_ages_read_as_kubectl_prints_them(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_a_time_that_is_missing_or_broken_is_unknown() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [age_of(text, now) for text in (None, "yesterday", 7)] == ["<unknown>"] * 3
    assert age_of("2025-12-31T23:59:00Z", now) == "60s"
