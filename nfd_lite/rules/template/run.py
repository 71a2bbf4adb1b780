"""One run of a template: what it may spend, what it has written, and what it may ask the world for.

A run ends by counting, not by the clock: every statement and call is a step, and so is every `CHARGE` characters or elements
that a function reads or makes. So the time and memory of a run have a bound whatever the template says.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfd_lite.rules.template.errors import TemplateError

if TYPE_CHECKING:
    from nfd_lite.rules.template.statements import Definition

MAXIMUM_NESTING = 80
CHARGE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """steps: statements, function calls and loop turns in one run, and what large values cost.
    size: characters of the output, and of any one string or list made on the way.
    """

    steps: int = 100_000
    size: int = 1 << 20


def _no_clock() -> float:
    raise TemplateError("the time is not known here")


def _no_random_bytes(count: int) -> bytes:
    raise TemplateError(f"there are no random bytes here ({count} wanted)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """now: seconds since 1970. random_bytes: that many of them. Where one is not given, asking for it is an error."""

    now: Callable[[], float] = _no_clock
    random_bytes: Callable[[int], bytes] = _no_random_bytes


class Run:
    """The state of one run; it lives in one thread."""

    __slots__ = ("depth", "left", "limits", "outside", "patterns", "room", "templates", "written")

    def __init__(self, limits: Limits, outside: Outside, templates: Mapping[str, "Definition"]) -> None:
        self.limits = limits
        self.outside = outside
        self.templates = templates
        self.left = limits.steps
        self.room = limits.size
        self.written: list[str] = []
        self.depth = 0
        self.patterns: dict[str, object] = {}

    def spend(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise TemplateError(f"the template takes more than {self.limits.steps} steps")

    def reserve(self, size: int) -> None:
        """Call this before making a string or list of so many characters or elements."""
        if size > self.limits.size:
            raise TemplateError(f"a value would be larger than {self.limits.size} characters or elements")
        self.spend(size // CHARGE)

    def gather(self, pieces: Iterable[str]) -> str:
        """The pieces in one, taken only while there is room for them."""
        taken: list[str] = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > self.limits.size:
                break
            taken.append(piece)
        self.reserve(size)
        return "".join(taken)

    def write(self, text: str) -> None:
        self.room -= len(text)
        if self.room < 0:
            raise TemplateError(f"the output is longer than {self.limits.size} characters")
        self.written.append(text)
