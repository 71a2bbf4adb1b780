"""Sprig's date functions. The only time zones are UTC and Local, and Local is UTC.

Source: masterminds.github.io/sprig/date.html.
"""

import re
from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.parse_time import parse_time
from gotemplate.run import Run
from gotemplate.times import SECOND, ZERO_TIME, Time, duration_text, format_time, parse_duration
from gotemplate.values import fits64, type_name

_UNITS = (("y", 365 * 86_400), ("mo", 30 * 86_400), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def _to_time(value: Any) -> Time:
    """Converts a time or a number of seconds since 1970. In Sprig any other value is the current time, which is not supported."""
    if isinstance(value, Time):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Time(value * SECOND)
    raise TemplateError(f"{type_name(value)} is not a time. Use a time or a number of seconds since 1970.")


def date_in_zone(run: Run, layout: str, value: Any, zone: str) -> str:
    if zone not in {"", "UTC", "Local"}:
        raise TemplateError(f"time zone {zone!r} is not supported. Use UTC, or Local, which is UTC.")
    run.reserve(10 * len(layout))
    return format_time(layout, Time(_to_time(value).nanoseconds))


def date(run: Run, layout: str, value: Any) -> str:
    return date_in_zone(run, layout, value, "Local")


def html_date(run: Run, value: Any) -> str:
    return date(run, "2006-01-02", value)


def html_date_in_zone(run: Run, value: Any, zone: str) -> str:
    return date_in_zone(run, "2006-01-02", value, zone)


def must_date_modify(change: str, time: Time) -> Time:
    nanoseconds = parse_duration(change)
    if nanoseconds is None:
        raise TemplateError(f"time: invalid duration {change[:60]!r}")
    return Time(time.nanoseconds + nanoseconds, time.offset, time.zone)


def date_modify(change: str, time: Time) -> Time:
    """Adds a duration to the time. Returns the same time if the duration is not valid."""
    try:
        return must_date_modify(change, time)
    except TemplateError:
        return time


def to_date(layout: str, text: str) -> Time:
    """Parses a time. Returns January 1 of the year 1 if the text does not match the layout."""
    try:
        return parse_time(layout, text)
    except TemplateError:
        return ZERO_TIME


def unix_epoch(time: Time) -> str:
    return str(time.nanoseconds // SECOND)


def duration(seconds: Any) -> str:
    if isinstance(seconds, str):
        number = int(seconds) if re.fullmatch(r"[+-]?[0-9]{1,19}", seconds) else 0
    else:
        number = seconds if isinstance(seconds, int) else 0
    return duration_text(number * SECOND if fits64(number * SECOND) else 0)


def duration_round(value: Any) -> str:
    """Returns the duration in whole units of its largest unit, such as `2h` or `3mo`. The unit must fit more than once."""
    if isinstance(value, Time):
        raise TemplateError("the duration since a time is not supported. Use a duration.")
    nanoseconds = parse_duration(value) or 0 if isinstance(value, str) else value if isinstance(value, int) else 0
    elapsed = abs(nanoseconds)
    return next((f"{elapsed // (size * SECOND)}{unit}" for unit, size in _UNITS if elapsed > size * SECOND), "0s")


FUNCTIONS = function_table({
    "date": date, "dateInZone date_in_zone": date_in_zone, "htmlDate": html_date,
    "htmlDateInZone": html_date_in_zone, "dateModify date_modify": date_modify,
    "mustDateModify must_date_modify": must_date_modify, "toDate": to_date, "mustToDate": parse_time,
    "unixEpoch": unix_epoch, "duration": duration, "durationRound": duration_round,
})  # fmt: skip
