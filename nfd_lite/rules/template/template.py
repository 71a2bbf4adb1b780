"""Parse a template once, render it many times."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nfd_lite.rules.template.nodes import Frame
from nfd_lite.rules.template.parser import Program, parse_program
from nfd_lite.rules.template.run import Limits, Outside, Run
from nfd_lite.rules.template.statements import run_body
from nfd_lite.rules.template.values import clean, own, whole

_LIMITS = Limits()
_OUTSIDE = Outside()


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. It never changes, so any thread may render it."""

    program: Program

    def render(
        self,
        data: Mapping[str, Any],
        limits: Limits = _LIMITS,
        outside: Outside = _OUTSIDE,
        *,
        spent: Callable[[int], None] = lambda _: None,
    ) -> str:
        """The text for the data: maps, lists, strings, numbers, booleans and None, which stay as they are.

        spent: is told how many steps it took, also when it fails. A key that is missing is an error. Raises TemplateError for everything
        that goes wrong.
        """
        dot = own(data)
        main = self.program.main
        run = Run(limits, outside, self.program.templates)
        run.depth = main.nesting
        try:
            run_body(main.body, Frame(run, dot, main.variables), dot)
        finally:
            spent(limits.steps - run.left)
        return whole("".join(run.written))


def parse_template(text: str) -> Template:
    """Raises TemplateError with the line of what is wrong."""
    return Template(parse_program(clean(text)))
