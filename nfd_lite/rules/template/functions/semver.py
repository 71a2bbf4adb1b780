"""Sprig's semver and semverCompare. Source: masterminds.github.io/sprig/semver.html."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.functions.constraints import satisfies
from nfd_lite.rules.template.functions.versions import Parts, parse_parts
from nfd_lite.rules.template.values import Struct


@dataclass(frozen=True, slots=True)
class Version(Struct):
    """What `semver` gives, with the fields and the method that Sprig documents."""

    parts: Parts
    original: str

    go_type: ClassVar[str] = "*semver.Version"

    def __str__(self) -> str:
        return str(self.parts)

    def member(self, name: str) -> Any:
        major, minor, patch = self.parts.numbers
        fields: dict[str, Any] = {
            "Major": major,
            "Minor": minor,
            "Patch": patch,
            "Prerelease": self.parts.prerelease,
            "Metadata": self.parts.metadata,
            "Original": self.original,
            "Compare": _comparer(self),
        }
        return fields[name] if name in fields else Struct.member(self, name)


def _comparer(version: Version) -> Callable[[Version], int]:
    def Compare(other: Version) -> int:  # noqa: N802
        return (version.parts.order > other.parts.order) - (version.parts.order < other.parts.order)

    return Compare


def semver(text: str) -> Version:
    return Version(parse_parts(text), text)


def semver_compare(constraint: str, version: str) -> bool:
    return satisfies(parse_parts(version), constraint)


FUNCTIONS = table({"semver": semver, "semverCompare": semver_compare})
