"""Parses a template once and renders it many times."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from gotemplate.nodes import Dot, Fields, Frame, ShortCircuit, Variable
from gotemplate.parser import Program, parse_program
from gotemplate.run import Limits, Run
from gotemplate.statements import Conditional, Range, run_body
from gotemplate.values import import_value, repair_text, replace_surrogates

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. Thread-safe: a template is never changed."""

    program: Program

    def render(
        self,
        data: Mapping[str, Any],
        limits: Limits = _LIMITS,
        *,
        report_steps: Callable[[int], None] = lambda _: None,
    ) -> str:
        """Returns the output for the data: mappings, lists, strings, numbers, booleans and None. The data are not changed.

        report_steps: receives the number of steps of the run, also of a run that fails. A missing key is an error. Raises TemplateError.
        """
        dot = import_value(data)
        main = self.program.main
        run = Run(limits, self.program.templates)
        run.depth = main.nesting
        try:
            run_body(main.body, Frame(run, dot, main.variables), dot)
        finally:
            report_steps(limits.steps - run.steps_left)
        return repair_text("".join(run.output))

    def required_fields(self) -> tuple[tuple[str, ...], ...]:
        """Returns the paths in the data that each run reads, such as `("pci", "device")`: those outside of branches and loop bodies."""
        return tuple(dict.fromkeys(_read_fields(self.program.main.body)))


def parse_template(text: str) -> Template:
    """Parses a template. Raises TemplateError with the line of the error."""
    return Template(parse_program(replace_surrogates(text)))


def _read_fields(part: Any) -> Iterator[tuple[str, ...]]:
    """Yields the paths that a part of a template reads in each run. The dot of the part must be the data."""
    if isinstance(part, Fields) and (
        isinstance(part.base, Dot) or (isinstance(part.base, Variable) and not part.base.slot)
    ):
        yield part.names
    elif isinstance(part, tuple):
        for each in part:
            yield from _read_fields(each)
    elif isinstance(part, ShortCircuit):
        yield from _read_fields(part.arguments[:1])
    elif isinstance(part, Conditional):
        yield from _read_fields(part.branches[0][0])
    elif isinstance(part, Range):
        yield from _read_fields(part.pipe)
    elif is_dataclass(part):
        for each in fields(part):
            yield from _read_fields(getattr(part, each.name))
