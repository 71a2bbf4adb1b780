"""Parses versions for expressions of `type: version`.

Only the numbers at the start of a version affect comparisons, and there may be any number of them. Node Feature Discovery compares at most
three numbers, and refuses text that is not a semantic version, such as RHEL kernels (`4.18.0-553.el8_10.x86_64`).
"""

import itertools
import re

from node_core.domain.dotted_version import leading_numbers

Version = tuple[int, ...]

_BOUND = re.compile(r"[vV]?[0-9]+(?:\.[0-9]+)*(?:[-+_~][-+_~.0-9A-Za-z]*)?")


def parse_version(text: str) -> Version:
    """Returns the numbers of a version without zeros at the end, so that `6.1` equals `6.1.0`. Raises ValueError with the reason."""
    numbers = tuple(map(int, leading_numbers(text)))
    if not numbers:
        raise ValueError(f"{text[:40]!r} is not a version: it must begin with a number, such as 5.14 or v1.2.3-rc.1")
    significant = itertools.dropwhile(lambda number: number == 0, reversed(numbers))
    return tuple(significant)[::-1]


def version_problem(text: str) -> str | None:
    """Returns why a rule should not compare with this text: `1,5` and `5.x` are versions of nodes only by their first numbers."""
    if _BOUND.fullmatch(text):
        return None
    return f"{text[:40]!r} is not a version: write numbers with dots between them, such as 5.14 or v1.2.3-rc.1"
