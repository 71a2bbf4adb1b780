"""Versions as programs, kernels and distributions write them. PURE."""

import re

_NUMBERS = re.compile(r"[vVrR]?([0-9]+(?![0-9A-Za-z])(?:\.[0-9]+)*)")
_MAX_TEXT = 256


def leading_numbers(text: str) -> tuple[str, ...]:
    """Returns the numbers at the start of a version, as written: `6`, `12`, `57` for `6.12.57+deb13-amd64`.

    An optional `v` or `r` may precede the numbers, and any text may follow. Empty if the text does not begin with a number, as `rolling`
    and the digest `4d1f9a2`.
    """
    match = _NUMBERS.match(text[:_MAX_TEXT])
    return tuple(match[1].split(".")) if match else ()
