"""Kubernetes quantities (`500m`, `1Gi`, `1e3`) as exact fractions. PURE. Source: Kubernetes API, resource.Quantity."""

import math
import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?", re.ASCII)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000 ** (power + 1)) for power, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Fraction(1024 ** (power + 1)) for power, letter in enumerate("KMGTPE")},
}
_DECIMAL = dict(zip(range(-9, 19, 3), ("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), strict=True))
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_NANO = 10**9
_MAX_TEXT = 64
MAX_AMOUNT = Fraction(2**63 - 1)


def parse_quantity(text: str | float) -> Fraction:
    """Returns the number in base units (cores, bytes, devices). Also accepts JSON numbers. Raises ValueError with the reason."""
    match = _match(text)
    sign, digits, exponent, suffix = match.groups()
    value = Fraction(digits) * (Fraction(10) ** int(exponent[1:]) if exponent else _SUFFIXES.get(suffix, Fraction(1)))
    return -value if sign == "-" else value


def parse_api_quantity(text: str | float) -> Fraction:
    """Returns the amount that the API server stores: at most 2^63-1. Raises ValueError with the reason."""
    return max(-MAX_AMOUNT, min(parse_quantity(text), MAX_AMOUNT))


def canonical_quantity(text: str) -> str:
    """Returns the canonical form: a whole number with the largest suffix of the same kind. Raises ValueError.

    `1024Ki` is `1Mi`, `1000` is `1k`, `0.5` is `500m`, `1000e3` is `1e6`. Fractions of a nano are rounded away from zero.
    """
    value, match = parse_quantity(text), _match(text)
    if (match[4] or "").endswith("i") and abs(value) >= 1024:
        return _render_binary(_round_up(value))
    nanos = _round_up(value * _NANO)
    exponent = max((power for power in _DECIMAL if nanos % 10 ** (power + 9) == 0), default=0) if nanos else 0
    number = nanos // 10 ** (exponent + 9)
    if match[3]:
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_DECIMAL[exponent]}"


def _match(text: str | float) -> re.Match[str]:
    shown = str(text)
    match = _QUANTITY.fullmatch(shown) if not isinstance(text, bool) and len(shown) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(
            f"{shown[:_MAX_TEXT]!r} is not a quantity. Write a number with an optional suffix, such as 2, 500m, 64Gi or 1e3"
        )
    return match


def _round_up(value: Fraction) -> int:
    return math.ceil(value) if value > 0 else math.floor(value)


def _render_binary(number: int) -> str:
    power = max(power for power in range(len(_BINARY)) if number % 1024**power == 0)
    return f"{number // 1024**power}{_BINARY[power]}"
