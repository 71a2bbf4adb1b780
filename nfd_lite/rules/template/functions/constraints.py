"""Constraints on versions: `>=1.2, <3`, `~1.2`, `^0.3`, `1.x`, `1.2 - 1.4`, `… || …`. Source: the documentation of Masterminds/semver."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.functions.versions import MAXIMUM_LENGTH, Parts, parse_parts

_PART = r"(?:[0-9]{1,19}|[xX*])"
_VERSION = rf"v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?((?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)"
_CONSTRAINT = re.compile(rf"(=>|=<|!=|>=|<=|~>|[=<>~^]|)\s*{_VERSION}(?=[\s,]|\Z)")
_HYPHEN = re.compile(rf"\s*({_VERSION})\s+-\s+({_VERSION})\s*")
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """known: how many of major, minor and patch are given; the others count as 0 in `version`."""

    operator: str
    version: Parts
    known: int

    def allows(self, version: Parts) -> bool:
        return _OPERATORS[self.operator](version, self)


def satisfies(version: Parts, text: str) -> bool:
    """Whether the version is within the constraints. Raises TemplateError for constraints that cannot be read."""
    groups = [_parse_group(group) for group in text[: 4 * MAXIMUM_LENGTH + 1].split("||")]
    if len(text) > 4 * MAXIMUM_LENGTH:
        raise TemplateError("the version constraint is too long")
    return any(_group_allows(group, version) for group in groups)


def _group_allows(group: list[Constraint], version: Parts) -> bool:
    """A prerelease satisfies only constraints one of which names a prerelease."""
    if version.prerelease and not any(constraint.version.prerelease for constraint in group):
        return False
    return all(constraint.allows(version) for constraint in group)


def _parse_group(text: str) -> list[Constraint]:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        text = f">={hyphen[1]} <={hyphen[6]}"
    found: list[Constraint] = []
    at = _end(_BETWEEN.match(text))
    while at < len(text) or not found:
        match = _CONSTRAINT.match(text, at)
        if match is None:
            raise TemplateError(f"improper constraint: {text[:60]!r}")
        found.append(_constraint(match))
        at = _end(_BETWEEN.match(text, match.end()))
    return found


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0


def _constraint(match: re.Match[str]) -> Constraint:
    operator, *numbers, rest = match.groups()
    given = [number for number in numbers if number is not None]
    known = next((position for position, number in enumerate(given) if number in "xX*"), len(given))
    text = ".".join(([*given[:known], "0", "0", "0"])[:3]) + rest
    return Constraint(operator=operator, version=parse_parts(text), known=known)


def _equal(version: Parts, constraint: Constraint) -> bool:
    """Where something is left open, `=1.2` is `~1.2`."""
    return version.order == constraint.version.order if constraint.known == 3 else _tilde(version, constraint)


def _not_equal(version: Parts, constraint: Constraint) -> bool:
    if constraint.known == 3:
        return version.order != constraint.version.order
    return version.numbers[: constraint.known] != constraint.version.numbers[: constraint.known]


def _greater(version: Parts, constraint: Constraint) -> bool:
    known = constraint.known
    if known == 3:
        return version.order > constraint.version.order
    return version.numbers[:known] > constraint.version.numbers[:known]


def _less(version: Parts, constraint: Constraint) -> bool:
    return version.order < constraint.version.order


def _at_least(version: Parts, constraint: Constraint) -> bool:
    return version.order >= constraint.version.order


def _at_most(version: Parts, constraint: Constraint) -> bool:
    return not _greater(version, constraint)


def _tilde(version: Parts, constraint: Constraint) -> bool:
    """Same major and minor, as far as they are given."""
    same = min(constraint.known, 2)
    return _at_least(version, constraint) and version.numbers[:same] == constraint.version.numbers[:same]


def _caret(version: Parts, constraint: Constraint) -> bool:
    """Same up to the first part that is not 0, as far as they are given."""
    numbers = constraint.version.numbers
    first = next((position for position, number in enumerate(numbers) if number), constraint.known - 1)
    same = first + 1
    return _at_least(version, constraint) and version.numbers[:same] == numbers[:same]


_OPERATORS: Mapping[str, Callable[[Parts, Constraint], bool]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": _less,
    ">=": _at_least,
    "=>": _at_least,
    "<=": _at_most,
    "=<": _at_most,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}
