"""Durations in flags and config files: Go's syntax (`60s`, `1m30s`, `500ms`), a number of seconds, or `infinite`."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
MINIMUM = 1.0
MAXIMUM = 366 * 24 * 3600.0


def parse_duration(text: str | float) -> float:
    """Parses seconds from 1 to a year. A number without a unit is in seconds. Raises ValueError with the reason."""
    seconds = float(text) if isinstance(text, int | float) or _is_number(text) else _parse_go_duration(text)
    if not math.isfinite(seconds) or seconds > MAXIMUM:
        raise ValueError(f"{text} is more than a year. A number without a unit is in seconds. Write for example 60s")
    if seconds < MINIMUM:
        raise ValueError(f"{text} is less than one second. Write 1s or more")
    return seconds


def parse_interval(text: str | float) -> float | None:
    """Parses a duration as parse_duration; None for `infinite`. Raises ValueError with the reason."""
    if text == "infinite":
        return None
    with _suggest_infinite():
        return parse_duration(text)


def parse_sleep_interval(text: str | float) -> float | None:
    """Parses the seconds between passes as upstream does; None for never. Raises ValueError with the reason.

    Less than a second is one second, and zero or less is never. A number that would be more than a year in seconds is in nanoseconds.
    """
    if text == "infinite":
        return None
    plain = str(text).removeprefix("-")
    is_number = isinstance(text, int | float) or _is_number(plain)
    with _suggest_infinite():
        seconds = float(text) if is_number else _parse_go_duration(plain)
    if is_number and seconds > MAXIMUM:
        seconds /= 1e9
    if seconds <= 0 or str(text).startswith("-"):
        return None
    return parse_interval(max(seconds, MINIMUM))


@contextmanager
def _suggest_infinite() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}, or infinite") from error


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _parse_go_duration(text: str) -> float:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration. Write for example 60s or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
