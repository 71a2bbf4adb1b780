"""Semantic versions, as loosely written as Masterminds/semver takes them: `v1`, `1.2`, `1.2.3-rc.1+build`."""

import re
from dataclasses import dataclass
from typing import Any

from nfd_lite.rules.template.errors import TemplateError

_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(
    rf"v?([0-9]{{1,19}})(?:\.([0-9]{{1,19}}))?(?:\.([0-9]{{1,19}}))?(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?"
)
MAXIMUM_LENGTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """numbers: major, minor and patch. The metadata do not count in comparisons."""

    numbers: tuple[int, int, int]
    prerelease: str = ""
    metadata: str = ""

    def __str__(self) -> str:
        numbers = ".".join(map(str, self.numbers))
        return (
            numbers
            + (f"-{self.prerelease}" if self.prerelease else "")
            + (f"+{self.metadata}" if self.metadata else "")
        )

    @property
    def order(self) -> tuple[Any, ...]:
        """Something to compare versions by; a version comes after its own prereleases."""
        return self.numbers, not self.prerelease, tuple(map(_identifier_order, self.prerelease.split(".")))


def _identifier_order(identifier: str) -> tuple[bool, int, str]:
    """Numbers by value and before words."""
    return (False, int(identifier), "") if identifier.isdigit() else (True, 0, identifier)


def parse_parts(text: str) -> Parts:
    """Raises TemplateError with the reason."""
    match = _VERSION.fullmatch(text) if len(text) <= MAXIMUM_LENGTH else None
    if match is None:
        raise TemplateError(f"Invalid Semantic Version: {text[:60]!r}")
    major, minor, patch, prerelease, metadata = match.groups()
    if any(part.isdigit() and part.startswith("0") and part != "0" for part in (prerelease or "").split(".")):
        raise TemplateError(f"Version segment starts with 0: {text[:60]!r}")
    numbers = int(major), int(minor or 0), int(patch or 0)
    return Parts(numbers=numbers, prerelease=prerelease or "", metadata=metadata or "")
