"""Durations as people write them in flags and files: Go's syntax (`60s`, `1m30s`, `500ms`), seconds as a number, or `infinite`."""

import math
import re

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
MINIMUM = 1.0
MAXIMUM = 366 * 24 * 3600.0


def parse_interval(text: str | float) -> float | None:
    """Seconds between passes, at least 1 and at most a year; None for `infinite`. Raises ValueError with the reason.

    A bare number is seconds. Upstream reads a number in the config file as nanoseconds, so an old file may hold 60000000000:
    the error says so instead of sleeping for nineteen centuries or not at all.
    """
    if text == "infinite":
        return None
    seconds = float(text) if isinstance(text, int | float) or _is_number(text) else _parse_go_duration(text)
    if not math.isfinite(seconds) or seconds > MAXIMUM:
        raise ValueError(
            f"{text} is more than a year: numbers are seconds here, not nanoseconds; write 60s, or infinite"
        )
    if seconds < MINIMUM:
        raise ValueError(f"{text} is below one second, which would keep the node busy: write 1s or more, or infinite")
    return seconds


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _parse_go_duration(text: str) -> float:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write one such as 60s or 1m30s, or infinite")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
