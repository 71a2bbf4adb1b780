"""Ages as kubectl prints them. PURE."""

from datetime import UTC, datetime
from typing import Any

UNKNOWN = "<unknown>"

_STEPS = (
    (120, 1, "s", 0, ""),
    (600, 60, "m", 1, "s"),
    (3 * 3600, 60, "m", 0, ""),
    (8 * 3600, 3600, "h", 60, "m"),
    (48 * 3600, 3600, "h", 0, ""),
    (8 * 86400, 86400, "d", 3600, "h"),
    (2 * 365 * 86400, 86400, "d", 0, ""),
    (8 * 365 * 86400, 365 * 86400, "y", 86400, "d"),
)
"""Below so many seconds: the unit in seconds, its letter, and the smaller unit shown beside it, if any."""


def human_duration(seconds: float) -> str:
    """45s, 3m20s, 15m, 5h30m, 2d4h, 400d, 3y20d. A moment in the future is 0s."""
    whole = max(int(seconds), 0)
    for below, unit, letter, smaller, small_letter in _STEPS:
        if whole < below:
            rest = whole % unit // smaller if smaller else 0
            return f"{whole // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // (365 * 86400)}y"


def age_of(text: Any, now: datetime) -> str:
    """How long ago an RFC 3339 time was; `<unknown>` for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return UNKNOWN
    return human_duration((now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds())
