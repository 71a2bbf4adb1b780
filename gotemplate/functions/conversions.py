"""Sprig's conversions of any value to a number. Source: masterminds.github.io/sprig/conversion.html."""

import math
import re
from typing import Any

from gotemplate.function import function_table
from gotemplate.literals import parse_float, parse_integer
from gotemplate.printf import format_value
from gotemplate.run import Run
from gotemplate.values import HIGHEST, LOWEST, Int64, fits64

_ZERO_DECIMALS = re.compile(r"\.0*\Z")


def integer(value: Any) -> int:
    """Converts a value as Sprig: 0 for a value that is not an integer, and for an integer that does not fit in 64 bits."""
    if isinstance(value, str):
        number = parse_integer(_ZERO_DECIMALS.sub("", value)) or 0
    elif isinstance(value, float):
        number = int(value) if math.isfinite(value) else 0
    else:
        number = int(value) if isinstance(value, int) else 0
    return number if fits64(number) else 0


def decimal(value: Any) -> float:
    """Converts a value as Sprig: 0 for a value that is not a number."""
    if isinstance(value, str):
        return _parsed_decimal(value)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _parsed_decimal(text: str) -> float:
    special = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}.get(text.lower().lstrip("+-"))
    if special is not None and len(text.lstrip("+-")) >= len(text) - 1:
        return -special if text.startswith("-") else special
    return parse_float(text) or 0.0


def int64(value: Any) -> Int64:
    return Int64(integer(value))


def to_decimal(run: Run, value: Any) -> Int64:
    """Converts octal digits; 0 for any other value."""
    text = format_value(run, value)
    number = int(text, 8) if re.fullmatch(r"[+-]?[0-7]{1,30}", text) else 0
    return Int64(number if fits64(number) else 0)


def atoi(text: str) -> int:
    """Converts decimal digits to the nearest integer of 64 bits; 0 for any other text."""
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text) else 0
    return min(max(number, LOWEST), HIGHEST)


FUNCTIONS = function_table({"int": integer, "int64": int64, "float64": decimal, "toDecimal": to_decimal, "atoi": atoi})
