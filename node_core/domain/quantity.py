"""Kubernetes quantities (`500m`, `1Gi`, `1e3`), exactly. Source: Kubernetes API, resource.Quantity."""

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


def parse_quantity(text: str | float) -> Fraction:
    """The number in base units: cores, bytes, devices. JSON numbers are quantities too. Raises ValueError with the reason."""
    match = _QUANTITY.fullmatch(str(text)) if not isinstance(text, bool) else None
    if match is None:
        raise ValueError(
            f"{text!r} is not a quantity: write a number with an optional suffix, such as 2, 500m, 64Gi or 1e3"
        )
    sign, digits, exponent, suffix = match.groups()
    value = Fraction(digits) * (Fraction(10) ** int(exponent[1:]) if exponent else _SUFFIXES.get(suffix, Fraction(1)))
    return -value if sign == "-" else value
