"""Points in time and durations as Go has them, and Go's layouts (`2006-01-02 15:04:05 MST`). Source: pkg.go.dev/time."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.values import Struct

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
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Moment(Struct):
    """nanoseconds: since 1970. offset: seconds east of Greenwich, in the zone called `zone`."""

    nanoseconds: int
    offset: int = 0
    zone: str = "UTC"

    go_type: ClassVar[str] = "time.Time"

    def __str__(self) -> str:
        return format_moment("2006-01-02 15:04:05.999999999 -0700 MST", self)

    @property
    def day(self) -> date:
        """Its day there. Raises TemplateError outside the years 1 to 9999."""
        try:
            return date.fromordinal(_EPOCH + (self.nanoseconds // SECOND + self.offset) // _DAY)
        except (ValueError, OverflowError):
            raise TemplateError("a time is outside the years 1 to 9999") from None

    @property
    def second_of_day(self) -> int:
        return (self.nanoseconds // SECOND + self.offset) % _DAY


def at(day: date, second: int, nanoseconds: int, offset: int, zone: str) -> Moment:
    """The moment when clocks with that offset show that day and second of it."""
    seconds = (day.toordinal() - _EPOCH) * _DAY + second - offset
    return Moment(seconds * SECOND + nanoseconds, offset, zone)


ZERO = Moment((1 - _EPOCH) * _DAY * SECOND)


def format_moment(layout: str, moment: Moment) -> str:
    day, second = moment.day, moment.second_of_day
    return LAYOUT.sub(lambda match: _formatted(match[0], moment, day, second), layout)


def _formatted(item: str, moment: Moment, day: date, second: int) -> str:
    hour, minute = second // 3600, second // 60 % 60
    if item[0] in "Z-":
        return _offset_text(item, moment.offset)
    if item[0] in ".,":
        return _fraction(item, moment.nanoseconds % SECOND)
    texts = {
        "January": MONTHS[day.month - 1],
        "Jan": MONTHS[day.month - 1][:3],
        "Monday": DAYS[day.weekday()],
        "Mon": DAYS[day.weekday()][:3],
        "MST": moment.zone or _offset_text("-0700", moment.offset),
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
    away = abs(offset)
    parts = [f"{away // 3600:02d}", f"{away // 60 % 60:02d}", f"{away % 60:02d}"]
    shown = 1 if len(item) == 3 else 3 if item.count("00") == 2 else 2
    return ("-" if offset < 0 else "+") + (":" if ":" in item else "").join(parts[:shown])


def _fraction(item: str, nanoseconds: int) -> str:
    digits = f"{nanoseconds:09d}"[: len(item) - 1].ljust(len(item) - 1, "0")
    if item[1] == "9":
        digits = digits.rstrip("0")
    return item[0] + digits if digits else ""


def parse_duration(text: str) -> int | None:
    """Nanoseconds of `1h30m`; None for what is no duration."""
    sign, rest = (-1 if text.startswith("-") else 1), text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    parts = _DURATION_PART.findall(rest) if len(rest) < 200 else []
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        return None
    total = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in parts)
    return sign * total if total <= _LONGEST else None


def duration_text(nanoseconds: int) -> str:
    """As Go's Duration.String: `1h30m0s`, `1.5s`, `20ms`."""
    away, sign = abs(nanoseconds), "-" if nanoseconds < 0 else ""
    if away < SECOND:
        unit, size = next(((u, s) for u, s in (("ms", 10**6), ("µs", 10**3)) if away >= s), ("ns", 1))
        return f"{sign}{_decimal(away, size)}{unit}" if away else "0s"
    hours, minutes = away // (3600 * SECOND), away // (60 * SECOND) % 60
    text = f"{_decimal(away % (60 * SECOND), SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _decimal(amount: int, unit: int) -> str:
    fraction = f"{amount % unit:0{len(str(unit)) - 1}d}".rstrip("0") if unit > 1 else ""
    return f"{amount // unit}.{fraction}" if fraction else f"{amount // unit}"
