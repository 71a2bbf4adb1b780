"""Go's times, durations and time layouts (`2006-01-02 15:04:05 MST`). Source: pkg.go.dev/time."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from gotemplate.errors import TemplateError
from gotemplate.values import Struct

SECOND = 10**9
_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|_2(?!006)|__2|002|0[1-6]|15|1|2|3|4|5|PM|pm"
    r"|(?:Z07|-07)(?::00(?::00)?|00(?:00)?)?|(?<=[0-9])[.,](?:0+|9+)(?![0-9])"
)
_UNITS = {
    "ns": 1,
    **dict.fromkeys(("us", "µs", "μs"), 10**3),
    "ms": 10**6,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Time(Struct):
    """A time. nanoseconds: since 1970. offset: of the time zone, in seconds east of UTC. zone: the name of the time zone."""

    nanoseconds: int
    offset: int = 0
    zone: str = "UTC"

    go_type: ClassVar[str] = "time.Time"

    def __str__(self) -> str:
        return format_time("2006-01-02 15:04:05.999999999 -0700 MST", self)

    @property
    def day(self) -> date:
        """The date in the time zone. Raises TemplateError outside the years 1 to 9999."""
        try:
            return date.fromordinal(_EPOCH + (self.nanoseconds // SECOND + self.offset) // _DAY)
        except (ValueError, OverflowError):
            raise TemplateError("a time is outside the years 1 to 9999") from None

    @property
    def second_of_day(self) -> int:
        return (self.nanoseconds // SECOND + self.offset) % _DAY


def make_time(day: date, second: int, nanoseconds: int, offset: int, zone: str) -> Time:
    """Returns the time of a date and a second of the day in a time zone."""
    seconds = (day.toordinal() - _EPOCH) * _DAY + second - offset
    return Time(seconds * SECOND + nanoseconds, offset, zone)


ZERO_TIME = Time((1 - _EPOCH) * _DAY * SECOND)


def format_time(layout: str, time: Time) -> str:
    day, second = time.day, time.second_of_day
    return LAYOUT.sub(lambda match: _formatted(match[0], time, day, second), layout)


def _formatted(item: str, time: Time, day: date, second: int) -> str:
    hour, minute = second // 3600, second // 60 % 60
    if item[0] in "Z-":
        return _offset_text(item, time.offset)
    if item[0] in ".,":
        return _fraction(item, time.nanoseconds % SECOND)
    texts = {
        "January": MONTHS[day.month - 1],
        "Jan": MONTHS[day.month - 1][:3],
        "Monday": DAYS[day.weekday()],
        "Mon": DAYS[day.weekday()][:3],
        "MST": time.zone or _offset_text("-0700", time.offset),
        "2006": f"{day.year:04d}",
        "06": f"{day.year % 100:02d}",
        "01": f"{day.month:02d}",
        "1": f"{day.month}",
        "02": f"{day.day:02d}",
        "_2": f"{day.day:2d}",
        "2": f"{day.day}",
        "002": f"{day.timetuple().tm_yday:03d}",
        "__2": f"{day.timetuple().tm_yday:3d}",
        "15": f"{hour:02d}",
        "03": f"{(hour - 1) % 12 + 1:02d}",
        "3": f"{(hour - 1) % 12 + 1}",
        "04": f"{minute:02d}",
        "4": f"{minute}",
        "05": f"{second % 60:02d}",
        "5": f"{second % 60}",
        "PM": "PM" if hour >= 12 else "AM",
        "pm": "pm" if hour >= 12 else "am",
    }
    return texts[item]


def _offset_text(item: str, offset: int) -> str:
    if item[0] == "Z" and offset == 0:
        return "Z"
    absolute = abs(offset)
    parts = [f"{absolute // 3600:02d}", f"{absolute // 60 % 60:02d}", f"{absolute % 60:02d}"]
    count = 1 if len(item) == 3 else 3 if item.count("00") == 2 else 2
    return ("-" if offset < 0 else "+") + (":" if ":" in item else "").join(parts[:count])


def _fraction(item: str, nanoseconds: int) -> str:
    digits = f"{nanoseconds:09d}"[: len(item) - 1].ljust(len(item) - 1, "0")
    if item[1] == "9":
        digits = digits.rstrip("0")
    return item[0] + digits if digits else ""


def parse_duration(text: str) -> int | None:
    """Parses a duration such as `1h30m`. Returns nanoseconds, or None for any other text."""
    sign, digits = (-1 if text.startswith("-") else 1), text[1:] if text[:1] in {"-", "+"} else text
    if digits == "0":
        return 0
    parts = _DURATION_PART.findall(digits) if len(digits) < 200 else []
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        return None
    total = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in parts)
    return sign * total if total <= _LONGEST else None


def duration_text(nanoseconds: int) -> str:
    """Returns the duration as Go's Duration.String: `1h30m0s`, `1.5s`, `20ms`."""
    absolute, sign = abs(nanoseconds), "-" if nanoseconds < 0 else ""
    if absolute < SECOND:
        unit, size = next(((u, s) for u, s in (("ms", 10**6), ("µs", 10**3)) if absolute >= s), ("ns", 1))
        return f"{sign}{_decimal(absolute, size)}{unit}" if absolute else "0s"
    hours, minutes = absolute // (3600 * SECOND), absolute // (60 * SECOND) % 60
    text = f"{_decimal(absolute % (60 * SECOND), SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _decimal(amount: int, unit: int) -> str:
    fraction = f"{amount % unit:0{len(str(unit)) - 1}d}".rstrip("0") if unit > 1 else ""
    return f"{amount // unit}.{fraction}" if fraction else f"{amount // unit}"
