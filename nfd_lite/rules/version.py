"""Loose semantic versions, for expressions of `type: version`.

An optional `v`, one to three numbers, then maybe `-prerelease` and `+metadata`, which do not count. Unlike in Node Feature Discovery
they may have `_`: the kernels of RHEL and its kin (`4.18.0-553.el8_10.x86_64`) can be compared.
"""

import re

Version = tuple[int, int, int]

_PART = r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({_PART}))?(?:[+_]{_PART})?")
_MAX_TEXT = 256
_MAX_NUMBER = (1 << 64) - 1


def parse_version(text: str) -> Version:
    """What counts when versions are compared; parts that are not there are 0. Raises ValueError with the reason."""
    match = _VERSION.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        shown = text if len(text) <= _MAX_TEXT else f"{text[:40]}..."
        raise ValueError(f"{shown!r} is not a version: write one to three numbers, such as 5.14 or v1.2.3-rc.1")
    *numbers, prerelease = match.groups()
    if any(_is_padded(part) for part in (prerelease or "").split(".")):
        raise ValueError(f"{text!r} is not a version: a number after its '-' begins with 0")
    major, minor, patch = (int(number or 0) for number in numbers)
    if max(major, minor, patch) > _MAX_NUMBER:
        raise ValueError(f"{text!r} is not a version: a number of it is above {_MAX_NUMBER}")
    return major, minor, patch


def _is_padded(part: str) -> bool:
    return len(part) > 1 and part.startswith("0") and part.isdecimal()
