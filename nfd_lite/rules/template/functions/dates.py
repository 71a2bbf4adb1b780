"""Sprig's date functions. The only time zones are UTC and Local, which is UTC too.

Source: masterminds.github.io/sprig/date.html.
"""

import re
from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.moments import SECOND, ZERO, Moment, duration_text, format_moment, parse_duration
from nfd_lite.rules.template.parse_moment import parse_moment
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.values import fits64

_UNITS = (("y", 365 * 86_400), ("mo", 30 * 86_400), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def now(run: Run) -> Moment:
    return Moment(int(run.outside.now() * SECOND))


def _moment(run: Run, value: Any) -> Moment:
    """A time, seconds since 1970, or now for anything else."""
    if isinstance(value, Moment):
        return value
    return Moment(value * SECOND) if isinstance(value, int) and not isinstance(value, bool) else now(run)


def date_in_zone(run: Run, layout: str, value: Any, zone: str) -> str:
    if zone not in {"", "UTC", "Local"}:
        raise TemplateError(f"time zone {zone!r} is not known here: write UTC or Local, which is UTC")
    run.reserve(10 * len(layout))
    return format_moment(layout, Moment(_moment(run, value).nanoseconds))


def date(run: Run, layout: str, value: Any) -> str:
    return date_in_zone(run, layout, value, "Local")


def html_date(run: Run, value: Any) -> str:
    return date(run, "2006-01-02", value)


def html_date_in_zone(run: Run, value: Any, zone: str) -> str:
    return date_in_zone(run, "2006-01-02", value, zone)


def must_date_modify(change: str, moment: Moment) -> Moment:
    nanoseconds = parse_duration(change)
    if nanoseconds is None:
        raise TemplateError(f"time: invalid duration {change[:60]!r}")
    return Moment(moment.nanoseconds + nanoseconds, moment.offset, moment.zone)


def date_modify(change: str, moment: Moment) -> Moment:
    """The time moved by a duration, or the same time when it is none."""
    try:
        return must_date_modify(change, moment)
    except TemplateError:
        return moment


def must_to_date(layout: str, text: str) -> Moment:
    return parse_moment(layout, text)


def to_date(layout: str, text: str) -> Moment:
    """The time, or the first of January 1 for what is none."""
    try:
        return must_to_date(layout, text)
    except TemplateError:
        return ZERO


def unix_epoch(moment: Moment) -> str:
    return str(moment.nanoseconds // SECOND)


def ago(run: Run, value: Any) -> str:
    """How long ago it was, to the second."""
    away = now(run).nanoseconds - _moment(run, value).nanoseconds
    return duration_text((away + SECOND // 2) // SECOND * SECOND)


def duration(seconds: Any) -> str:
    if isinstance(seconds, str):
        number = int(seconds) if re.fullmatch(r"[+-]?[0-9]{1,19}", seconds) else 0
    else:
        number = seconds if isinstance(seconds, int) else 0
    return duration_text(number * SECOND if fits64(number * SECOND) else 0)


def duration_round(run: Run, value: Any) -> str:
    """The duration in its largest unit that is there more than once."""
    if isinstance(value, Moment):
        nanoseconds = now(run).nanoseconds - value.nanoseconds
    elif isinstance(value, str):
        nanoseconds = parse_duration(value) or 0
    else:
        nanoseconds = value if isinstance(value, int) else 0
    away = abs(nanoseconds)
    return next((f"{away // (size * SECOND)}{unit}" for unit, size in _UNITS if away > size * SECOND), "0s")


FUNCTIONS = table(
    {
        "now": now,
        "date": date,
        "dateInZone": date_in_zone,
        "date_in_zone": date_in_zone,
        "htmlDate": html_date,
        "htmlDateInZone": html_date_in_zone,
        "dateModify": date_modify,
        "date_modify": date_modify,
        "mustDateModify": must_date_modify,
        "must_date_modify": must_date_modify,
        "toDate": to_date,
        "mustToDate": must_to_date,
        "unixEpoch": unix_epoch,
        "ago": ago,
        "duration": duration,
        "durationRound": duration_round,
    }
)
