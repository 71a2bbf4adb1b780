"""Parses a time with one of Go's layouts. Source: pkg.go.dev/time, Parse."""

import re
from datetime import date

from gotemplate.errors import TemplateError
from gotemplate.times import DAYS, LAYOUT, MONTHS, Time, make_time

_LONGEST_LAYOUT = 200
_NAMES = {"January": MONTHS, "Jan": [name[:3] for name in MONTHS], "Monday": DAYS, "Mon": [name[:3] for name in DAYS]}
_ONE_OR_TWO = "[0-9]{1,2}+"
_PATTERNS = {
    "2006": "[0-9]{4}",
    "002": "[0-9]{3}",
    "_2": f" ?{_ONE_OR_TWO}",
    "__2": " {0,2}+[0-9]{1,3}+",
    "PM": "AM|PM",
    "pm": "am|pm",
    "MST": "[A-Z]{3,4}+(?:[+-][0-9]{1,2}+)?|[+-][0-9]{2}",
    **dict.fromkeys(("06", "01", "02", "03", "04", "05"), "[0-9]{2}"),
    **dict.fromkeys(("1", "2", "15", "3", "4", "5"), _ONE_OR_TWO),
    **{item: "|".join(names) for item, names in _NAMES.items()},
}
_FRACTION = re.compile(r"[.,](?:0+|9+)(?![0-9])")
_FIELDS = {
    "01": "month", "1": "month", "02": "day", "_2": "day", "2": "day", "002": "yearday", "__2": "yearday", "15": "hour",
    "03": "hour", "3": "hour", "04": "minute", "4": "minute", "05": "second", "5": "second", "2006": "year",
}  # fmt: skip
_DEFAULTS = {"year": 0, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}


def parse_time(layout: str, text: str) -> Time:
    """Parses a time, in UTC if the text has no offset. Raises TemplateError if the text does not match the layout."""
    if len(layout) > _LONGEST_LAYOUT:
        raise TemplateError("the time layout is too long")
    pieces, items = _build_pattern(layout)
    match = re.fullmatch("".join(pieces), text, re.IGNORECASE)
    try:
        if match is not None:
            return _to_time(list(zip(items, match.groups(""), strict=True)))
    except (ValueError, OverflowError):
        pass
    raise TemplateError(f"parsing time {text[:60]!r} as {layout!r}: the text does not match the layout")


def _build_pattern(layout: str) -> tuple[list[str], list[str]]:
    """Returns the pieces of a regular expression for the layout, and the layout element of each group."""
    pieces: list[str] = []
    items: list[str] = []
    end = 0
    for match in LAYOUT.finditer(layout):
        elements = [match[0]]
        if match[0] in {"05", "5"} and not _FRACTION.match(layout, match.end()):
            elements.append(".999999999")
        pieces += [_literal_pattern(layout[end : match.start()]), *[f"({_item_pattern(item)})" for item in elements]]
        items += elements
        end = match.end()
    return [*pieces, _literal_pattern(layout[end:])], items


def _literal_pattern(text: str) -> str:
    return re.sub(r"(?:\\ )+", " ++", re.escape(text))


def _item_pattern(item: str) -> str:
    if item[0] in ".,":
        return f"[.,][0-9]{{{len(item) - 1}}}" if item[1] == "0" else "(?:[.,][0-9]++)?+"
    if item[0] in "Z-":
        return ("Z|" if item[0] == "Z" else "") + re.sub(r"[0-9]{2}", "[0-9]{2}", "[+-]" + item[1:])
    return _PATTERNS[item]


def _to_time(fields: list[tuple[str, str]]) -> Time:
    values = dict(_DEFAULTS)
    offset, zone, nanoseconds = 0, "UTC", 0
    for item, text in fields:
        if item in _FIELDS:
            values[_FIELDS[item]] = int(text)
        elif item in {"January", "Jan"}:
            values["month"] = [name.lower() for name in _NAMES[item]].index(text.lower()) + 1
        elif item == "06":
            values["year"] = int(text) + (1900 if int(text) >= 69 else 2000)
        elif item in {"PM", "pm"}:
            values["hour"] = values["hour"] % 12 + 12 * (text.lower() == "pm")
        elif item[0] in ".," and text:
            nanoseconds = int(text[1:10].ljust(9, "0"))
        elif item[0] in "Z-" and text.upper() != "Z":
            offset, zone = _parse_offset(text), ""
    return make_time(_build_date(values), _second_of_day(values), nanoseconds, offset, zone if offset else "UTC")


def _parse_offset(text: str) -> int:
    digits = re.sub(r"[^0-9]", "", text).ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 24 or minutes > 59 or seconds > 59:
        raise ValueError(text)
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if text.startswith("-") else 1)


def _build_date(values: dict[str, int]) -> date:
    if "yearday" in values:
        first = date(values["year"], 1, 1)
        return date.fromordinal(first.toordinal() + values["yearday"] - 1)
    return date(values["year"], values["month"], values["day"])


def _second_of_day(values: dict[str, int]) -> int:
    hour, minute, second = values["hour"], values["minute"], values["second"]
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(hour)
    return hour * 3600 + minute * 60 + second
