"""The statements of a template: text, actions, conditions, loops and calls of other templates."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from gotemplate.errors import TemplateError
from gotemplate.nodes import Frame, Pipe
from gotemplate.printf import format_output, format_value
from gotemplate.run import MAXIMUM_NESTING
from gotemplate.values import Int64


class Jump(Enum):
    """A statement that ends an iteration early."""

    BREAK = "break"
    CONTINUE = "continue"


class Statement(Protocol):
    @property
    def line(self) -> int: ...

    def run(self, frame: Frame, dot: Any, /) -> Jump | None: ...


Body = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A template. variables: the number of its variables. nesting: the deepest nesting of its statements and parentheses."""

    body: Body
    variables: int
    nesting: int


def run_body(body: Body, frame: Frame, dot: Any) -> Jump | None:
    spend = frame.run.spend
    for statement in body:
        try:
            spend()
            jump = statement.run(frame, dot)
        except TemplateError as error:
            error.set_line(statement.line)
            raise
        if jump is not None:
            return jump
    return None


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    line: int

    def run(self, frame: Frame, _: Any) -> None:
        frame.run.write(self.text)


@dataclass(frozen=True, slots=True)
class Action:
    """`{{ pipeline }}`. Writes the value, or sets a variable."""

    pipe: Pipe
    line: int

    def run(self, frame: Frame, dot: Any) -> None:
        value = self.pipe.value(frame, dot)
        if not self.pipe.slots:
            frame.run.write(value if type(value) is str else format_output(frame.run, value))


@dataclass(frozen=True, slots=True)
class JumpStatement:
    """`{{ break }}` or `{{ continue }}`."""

    jump: Jump
    line: int

    def run(self, _: Frame, __: Any) -> Jump:
        return self.jump


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if` and `with`: runs the first branch whose pipeline is true. rebinds_dot: in `with`, the value becomes the dot of the branch."""

    branches: tuple[tuple[Pipe, Body], ...]
    else_body: Body
    rebinds_dot: bool
    line: int

    def run(self, frame: Frame, dot: Any) -> Jump | None:
        for pipe, body in self.branches:
            value = pipe.value(frame, dot)
            if value:
                return run_body(body, frame, value if self.rebinds_dot else dot)
        return run_body(self.else_body, frame, dot)


@dataclass(frozen=True, slots=True)
class Range:
    """`range`. key, element: the slots of the loop variables; None for a variable that is absent."""

    pipe: Pipe
    key: int | None
    element: int | None
    body: Body
    else_body: Body
    line: int

    def run(self, frame: Frame, dot: Any) -> Jump | None:
        value = self.pipe.value(frame, dot)
        empty = True
        for key, element in self._pairs(frame, value):
            empty = False
            frame.run.spend()
            if self.key is not None:
                frame.variables[self.key] = key
            if self.element is not None:
                frame.variables[self.element] = element
            if run_body(self.body, frame, element) is Jump.BREAK:
                break
        return run_body(self.else_body, frame, dot) if empty else None

    def _pairs(self, frame: Frame, value: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(value, list):
            return enumerate(value)
        if isinstance(value, dict):
            frame.run.reserve(len(value))
            return iter([(key, value[key]) for key in sorted(value)])
        if value is None:
            return iter(())
        if type(value) in {int, Int64}:
            if self.key is not None:
                raise TemplateError(f"can't use {value} to iterate over more than one variable")
            kind = type(value)
            return ((number, kind(number)) for number in range(value))
        raise TemplateError(f"range can't iterate over {format_value(frame.run, value)}")


@dataclass(frozen=True, slots=True)
class CallTemplate:
    """`{{ template "name" pipeline }}`. Without a pipeline the dot of the called template is nil."""

    name: str
    pipe: Pipe | None
    line: int

    def run(self, frame: Frame, dot: Any) -> None:
        run = frame.run
        definition = run.templates.get(self.name)
        if definition is None:
            raise TemplateError(f'template "{self.name}" not defined')
        value = self.pipe.value(frame, dot) if self.pipe else None
        run.depth += definition.nesting
        if run.depth > MAXIMUM_NESTING:
            raise TemplateError(f'template "{self.name}" is nested too deep')
        run_body(definition.body, Frame(run, value, definition.variables), value)
        run.depth -= definition.nesting
