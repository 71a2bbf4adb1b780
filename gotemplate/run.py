"""One run of a template: its limits and its output.

A run is limited by counting, not by a clock. Each statement and each function call is one step. Each `CHARACTERS_PER_STEP` characters or
elements that a function reads or makes are one more step. The limits therefore bound the time and the memory of every template.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gotemplate.errors import TemplateError

if TYPE_CHECKING:
    from gotemplate.statements import Definition

MAXIMUM_NESTING = 80
CHARACTERS_PER_STEP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """steps: statements, function calls and loop iterations in one run, and the cost of large values.
    size: characters of the output, and of any one string or list that the run makes.
    """

    steps: int = 100_000
    size: int = 1 << 20


class Run:
    """The state of one run. Not thread-safe. patterns: the compiled regular expressions by their text."""

    __slots__ = ("depth", "limits", "output", "output_left", "patterns", "steps_left", "templates")

    def __init__(self, limits: Limits, templates: Mapping[str, "Definition"]) -> None:
        self.limits = limits
        self.templates = templates
        self.steps_left = limits.steps
        self.output_left = limits.size
        self.output: list[str] = []
        self.depth = 0
        self.patterns: dict[str, object] = {}

    def spend(self, steps: int = 1) -> None:
        self.steps_left -= steps
        if self.steps_left < 0:
            raise TemplateError(f"the template takes more than {self.limits.steps} steps")

    def reserve(self, size: int) -> None:
        """Counts a string or list of `size` characters or elements. Call this before you make the value."""
        if size > self.limits.size:
            raise TemplateError(f"a value would be larger than {self.limits.size} characters or elements")
        self.spend(size // CHARACTERS_PER_STEP)

    def join_pieces(self, pieces: Iterable[str]) -> str:
        """Joins the pieces. Stops reading them when the text is larger than the limit."""
        texts: list[str] = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > self.limits.size:
                break
            texts.append(piece)
        self.reserve(size)
        return "".join(texts)

    def write(self, text: str) -> None:
        self.output_left -= len(text)
        if self.output_left < 0:
            raise TemplateError(f"the output is longer than {self.limits.size} characters")
        self.output.append(text)
