"""Expressions, which are the contents of `{{ }}`, as nodes that compute their values."""

from dataclasses import dataclass
from typing import Any, Protocol

from gotemplate.errors import TemplateError
from gotemplate.function import Function, check_type, function, go_type
from gotemplate.run import Run
from gotemplate.values import fits64, get_field


class Frame:
    """The variables of one call of a template. `$` is the first."""

    __slots__ = ("run", "variables")

    def __init__(self, run: Run, dot: Any, size: int) -> None:
        self.run = run
        self.variables = [dot] * size


class Node(Protocol):
    """An expression. text: its source, for errors."""

    @property
    def text(self) -> str: ...

    def value(self, frame: Frame, dot: Any, /) -> Any: ...

    def argument(self, frame: Frame, dot: Any, expected: type, /) -> Any:
        """Returns the value as an argument for a parameter of the type `expected`."""
        ...


class Stage(Protocol):
    """A command of a pipeline. final: a list of the result of the previous command; empty for the first command."""

    def result(self, frame: Frame, dot: Any, final: list[Any], /) -> Any: ...


class _RuntimeTyped:
    """A node whose type is known only when the template runs. As an argument, the value must have the type of the parameter."""

    __slots__ = ()

    def argument(self: Node, frame: Frame, dot: Any, expected: type) -> Any:
        return check_type(expected, self.value(frame, dot))


@dataclass(frozen=True, slots=True)
class Dot(_RuntimeTyped):
    text: str = "."

    def value(self, _: Frame, dot: Any) -> Any:
        return dot


@dataclass(frozen=True, slots=True)
class Fields(_RuntimeTyped):
    """`.a.b`, or `(…).a.b` and `$x.a.b` with the base `(…)` or `$x`."""

    names: tuple[str, ...]
    base: Node
    text: str

    def value(self, frame: Frame, dot: Any) -> Any:
        value = self.base.value(frame, dot)
        for name in self.names:
            value = value[name] if isinstance(value, dict) and name in value else get_field(value, name)
        if callable(value):
            method = function(value)
            method.check_count(self.names[-1], 0)
            return method.call(frame.run, self.names[-1], [])
        return value


@dataclass(frozen=True, slots=True)
class Variable(_RuntimeTyped):
    slot: int
    text: str

    def value(self, frame: Frame, _: Any) -> Any:
        return frame.variables[self.slot]


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, a boolean or nil."""

    constant: str | bool | None
    text: str

    def value(self, _: Frame, __: Any) -> Any:
        return self.constant

    def argument(self, _: Frame, __: Any, expected: type) -> Any:
        if expected is object or type(self.constant) is expected:
            return self.constant
        if self.constant is not None:
            raise _mismatch(expected, self.text)
        if expected is dict:
            return {}
        raise TemplateError(f"cannot assign nil to {_type_text(expected)}")


def _type_text(expected: type) -> str:
    return {int: "integer", float: "float"}.get(expected) or go_type(expected)


def _mismatch(expected: type, text: str) -> TemplateError:
    return TemplateError(f"expected {_type_text(expected)}; found {text}")


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric constant. Go converts it to the parameter's type, int or float, if the value allows that."""

    constant: int | float
    text: str

    def value(self, _: Frame, __: Any) -> Any:
        if isinstance(self.constant, int) and not fits64(self.constant):
            raise TemplateError(f"{self.text} overflows int")
        return self.constant

    def argument(self, frame: Frame, dot: Any, expected: type) -> Any:
        if expected is object:
            return self.value(frame, dot)
        if expected is float:
            return float(self.constant)
        if expected is int and self.constant == int(self.constant) and fits64(int(self.constant)):
            return int(self.constant)
        raise _mismatch(expected, self.text)


@dataclass(frozen=True, slots=True)
class Call(_RuntimeTyped):
    """A function with its arguments. In a pipeline, the result of the previous command is the last argument."""

    name: str
    function: Function
    arguments: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        return self.name

    def value(self, frame: Frame, dot: Any) -> Any:
        return self.result(frame, dot, [])

    def result(self, frame: Frame, dot: Any, final: list[Any]) -> Any:
        function = self.function
        count = len(self.arguments)
        function.check_count(self.name, count + len(final))
        values = [
            node.value(frame, dot) if expected is object else node.argument(frame, dot, expected)
            for node, expected in zip(self.arguments, function.types_of(count), strict=True)
        ]
        if final:
            values.append(check_type(function.type_at(count), final[0]))
        return function.call(frame.run, self.name, values)


@dataclass(frozen=True, slots=True)
class ShortCircuit(_RuntimeTyped):
    """`and` and `or`: the first argument whose truth is `stop_value` (False for `and`, True for `or`), or else the last argument."""

    name: str
    stop_value: bool
    arguments: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        return self.name

    def value(self, frame: Frame, dot: Any) -> Any:
        return self.result(frame, dot, [])

    def result(self, frame: Frame, dot: Any, final: list[Any]) -> Any:
        frame.run.spend()
        if not self.arguments and not final:
            raise TemplateError(f"wrong number of args for {self.name}: want at least 1 got 0")
        value = None
        for node in self.arguments:
            value = node.value(frame, dot)
            if bool(value) is self.stop_value:
                return value
        return final[0] if final else value


@dataclass(frozen=True, slots=True)
class ValueCommand:
    """A command that starts with a value instead of a function. Only a method may have arguments."""

    node: Node
    arguments: tuple[Node, ...] = ()

    def result(self, frame: Frame, dot: Any, final: list[Any]) -> Any:
        if not self.arguments and not final:
            if isinstance(self.node, Constant) and self.node.constant is None:
                raise TemplateError("nil is not a command")
            return self.node.value(frame, dot)
        if not isinstance(self.node, Fields):
            raise TemplateError(f"can't give argument to non-function {self.node.text}")
        *names, last = self.node.names
        method = get_field(Fields(tuple(names), self.node.base, self.node.text).value(frame, dot), last)
        if not callable(method):
            raise TemplateError(f"{last} is not a method but has arguments")
        return Call(last, function(method), self.arguments).result(frame, dot, final)


@dataclass(frozen=True, slots=True)
class Pipe(_RuntimeTyped):
    """A pipeline such as `$x := first | second`. slots: the variables that the pipeline sets."""

    stages: tuple[Stage, ...]
    line: int
    text: str
    slots: tuple[int, ...] = ()

    def value(self, frame: Frame, dot: Any) -> Any:
        try:
            value = self.stages[0].result(frame, dot, [])
            for stage in self.stages[1:]:
                value = stage.result(frame, dot, [value])
        except TemplateError as error:
            error.set_line(self.line)
            raise
        for slot in self.slots:
            frame.variables[slot] = value
        return value
