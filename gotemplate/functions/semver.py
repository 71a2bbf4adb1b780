"""Sprig's semver and semverCompare. Source: masterminds.github.io/sprig/semver.html and the documentation of Masterminds/semver.

Versions: `v1`, `1.2`, `1.2.3-rc.1+build`. Constraints: `>=1.2, <3`, `~1.2`, `^0.3`, `1.x`, `1.2 - 1.4`, `… || …`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.values import Struct

_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(
    rf"v?([0-9]{{1,19}})(?:\.([0-9]{{1,19}}))?(?:\.([0-9]{{1,19}}))?(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?"
)
_PART = r"(?:[0-9]{1,19}|[xX*])"
_PATTERN = rf"v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?((?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)"
_CONSTRAINT = re.compile(rf"[\s,]*(=>|=<|!=|>=|<=|~>|[=<>~^]|)\s*{_PATTERN}(?=[\s,]|\Z)[\s,]*")
_HYPHEN_RANGE = re.compile(rf"\s*({_PATTERN})\s+-\s+({_PATTERN})\s*")
_LONGEST_VERSION = 256
_LONGEST_CONSTRAINT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Struct):
    """The result of `semver`. numbers: major, minor and patch. original: the text of the version."""

    numbers: tuple[int, int, int]
    prerelease: str
    metadata: str
    original: str

    go_type: ClassVar[str] = "*semver.Version"

    def __str__(self) -> str:
        numbers = ".".join(map(str, self.numbers))
        return numbers + f"-{self.prerelease}" * bool(self.prerelease) + f"+{self.metadata}" * bool(self.metadata)

    @property
    def order(self) -> tuple[Any, ...]:
        """A sort key. A version is greater than its prereleases. The metadata are not compared."""
        return self.numbers, not self.prerelease, tuple(map(_identifier_order, self.prerelease.split(".")))

    def get_member(self, name: str) -> Any:
        major, minor, patch = self.numbers
        members: dict[str, Any] = {
            "Major": major,
            "Minor": minor,
            "Patch": patch,
            "Prerelease": self.prerelease,
            "Metadata": self.metadata,
            "Original": self.original,
            "Compare": _compare_with(self),
        }
        return members[name] if name in members else Struct.get_member(self, name)


def _identifier_order(identifier: str) -> tuple[bool, int, str]:
    """A number is less than a word."""
    return (False, int(identifier), "") if identifier.isdigit() else (True, 0, identifier)


def _compare_with(version: Version) -> Callable[[Version], int]:
    def compare(other: Version) -> int:
        return (version.order > other.order) - (version.order < other.order)

    return compare


def parse_version(text: str) -> Version:
    """Parses a version. Raises TemplateError."""
    match = _VERSION.fullmatch(text) if len(text) <= _LONGEST_VERSION else None
    if match is None:
        raise TemplateError(f"Invalid Semantic Version: {text[:60]!r}")
    major, minor, patch, prerelease, metadata = match.groups("")
    if any(part.isdigit() and part.startswith("0") and part != "0" for part in prerelease.split(".")):
        raise TemplateError(f"Version segment starts with 0: {text[:60]!r}")
    numbers = int(major), int(minor or 0), int(patch or 0)
    return Version(numbers=numbers, prerelease=prerelease, metadata=metadata, original=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constraint:
    """known: how many of major, minor and patch the constraint specifies. The others are 0 in `version`."""

    operator: str
    version: Version
    known: int

    def allows(self, version: Version) -> bool:
        own, known = self.version, self.known
        left, right = (version.order, own.order) if known == 3 else (version.numbers[:known], own.numbers[:known])
        at_least = version.order >= own.order
        first_nonzero = next((position for position, number in enumerate(own.numbers) if number), known - 1)
        tilde = at_least and self._has_same_numbers(version, min(known, 2))
        caret = at_least and self._has_same_numbers(version, first_nonzero + 1)
        equal = left == right if known == 3 else tilde
        results = {
            "": equal,
            "=": equal,
            "!=": left != right,
            "~": tilde,
            "~>": tilde,
            "^": caret,
            ">": left > right,
            "<=": left <= right,
            "=<": left <= right,
            "<": version.order < own.order,
            ">=": at_least,
            "=>": at_least,
        }
        return results[self.operator]

    def _has_same_numbers(self, version: Version, count: int) -> bool:
        return version.numbers[:count] == self.version.numbers[:count]


def _parse_alternative(text: str) -> list[_Constraint]:
    """Parses constraints that must all allow a version."""
    hyphen = _HYPHEN_RANGE.fullmatch(text)
    if hyphen is not None:
        text = f">={hyphen[1]} <={hyphen[6]}"
    constraints: list[_Constraint] = []
    position = 0
    while position < len(text) or not constraints:
        match = _CONSTRAINT.match(text, position)
        if match is None:
            raise TemplateError(f"improper constraint: {text[:60]!r}")
        constraints.append(_parse_constraint(match))
        position = match.end()
    return constraints


def _parse_constraint(match: re.Match[str]) -> _Constraint:
    operator, *numbers, suffix = match.groups()
    given = [number for number in numbers if number is not None]
    known = next((position for position, number in enumerate(given) if number in "xX*"), len(given))
    text = ".".join([*given[:known], "0", "0", "0"][:3]) + suffix
    return _Constraint(operator=operator, version=parse_version(text), known=known)


def _allows(constraints: list[_Constraint], version: Version) -> bool:
    """Only constraints with a prerelease allow a prerelease."""
    if version.prerelease and not any(constraint.version.prerelease for constraint in constraints):
        return False
    return all(constraint.allows(version) for constraint in constraints)


def semver_compare(constraint: str, version: str) -> bool:
    """Returns whether the constraint allows the version. Raises TemplateError if one of them is not valid."""
    parsed = parse_version(version)
    if len(constraint) > _LONGEST_CONSTRAINT:
        raise TemplateError("the version constraint is too long")
    alternatives = [_parse_alternative(text) for text in constraint.split("||")]
    return any(_allows(constraints, parsed) for constraints in alternatives)


FUNCTIONS = function_table({"semver": parse_version, "semverCompare": semver_compare})
