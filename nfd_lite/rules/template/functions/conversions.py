"""Sprig's numbers out of any value. Source: masterminds.github.io/sprig/conversion.html."""

import math
import re
from typing import Any

from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.literals import parse_float, parse_integer
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.text import show
from nfd_lite.rules.template.values import HIGHEST, LOWEST, Int64, fits64

_ZERO_DECIMALS = re.compile(r"\.0*\Z")


def integer(value: Any) -> int:
    """What Sprig makes of any value: 0 for what is no integer, and for what does not fit."""
    if isinstance(value, str):
        number = parse_integer(_ZERO_DECIMALS.sub("", value)) or 0
    elif isinstance(value, float):
        number = int(value) if math.isfinite(value) else 0
    else:
        number = int(value) if isinstance(value, int) else 0
    return number if fits64(number) else 0


def decimal(value: Any) -> float:
    if isinstance(value, str):
        return _parsed_decimal(value)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _parsed_decimal(text: str) -> float:
    special = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}.get(text.lower().lstrip("+-"))
    if special is not None and len(text.lstrip("+-")) >= len(text) - 1:
        return -special if text.startswith("-") else special
    return parse_float(text) or 0.0


def int_(value: Any) -> int:
    return int(integer(value))


def int64(value: Any) -> Int64:
    return Int64(integer(value))


def float64(value: Any) -> float:
    return decimal(value)


def to_decimal(run: Run, value: Any) -> Int64:
    """The number that octal digits mean; 0 for anything else."""
    text = show(run, value)
    number = int(text, 8) if re.fullmatch(r"[+-]?[0-7]{1,30}", text) else 0
    return Int64(number if fits64(number) else 0)


def atoi(text: str) -> int:
    """The number, the nearest that fits, or 0 for what is none."""
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text) else 0
    return min(max(number, LOWEST), HIGHEST)


FUNCTIONS = table({"int": int_, "int64": int64, "float64": float64, "toDecimal": to_decimal, "atoi": atoi})
