"""Expressions: what stands between `{{` and `}}`, taken apart, each with its value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import Function, checked, function
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.values import field, fits64


class Frame:
    """The variables of one template that is running; `$` is the first."""

    __slots__ = ("run", "variables")

    def __init__(self, run: Run, dot: Any, size: int) -> None:
        self.run = run
        self.variables = [dot] * size


class Node(Protocol):
    """An expression. text: as it was written, for errors."""

    @property
    def text(self) -> str: ...

    def value(self, frame: Frame, dot: Any, /) -> Any: ...

    def argument(self, frame: Frame, dot: Any, wanted: type, /) -> Any:
        """The value, as an argument for a parameter of that type."""
        ...


class Stage(Protocol):
    """A step of a pipeline. final: what the step before gave, in a list; empty for the first step."""

    def result(self, frame: Frame, dot: Any, final: list[Any], /) -> Any: ...


class _Evaluated:
    """Nodes whose value is found when the template runs; its type must then be the wanted one."""

    __slots__ = ()

    def argument(self: Node, frame: Frame, dot: Any, wanted: type) -> Any:
        return checked(wanted, self.value(frame, dot))


@dataclass(frozen=True, slots=True)
class Dot(_Evaluated):
    text: str = "."

    def value(self, _: Frame, dot: Any) -> Any:
        return dot


@dataclass(frozen=True, slots=True)
class Fields(_Evaluated):
    """`.a.b`, and `(…).a.b` or `$x.a.b` where there is a base."""

    names: tuple[str, ...]
    base: Node
    text: str

    def value(self, frame: Frame, dot: Any) -> Any:
        value = self.base.value(frame, dot)
        for name in self.names:
            value = value[name] if isinstance(value, dict) and name in value else field(value, name)
        return _called(value, frame) if callable(value) else value


def _called(method: Callable[..., Any], frame: Frame) -> Any:
    bound = function(method)
    bound.check_count(method.__name__, 0)
    return bound.call(frame.run, method.__name__, [])


@dataclass(frozen=True, slots=True)
class Variable(_Evaluated):
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

    def argument(self, _: Frame, __: Any, wanted: type) -> Any:
        if wanted is object or type(self.constant) is wanted:
            return self.constant
        if self.constant is None:
            return _nil_as(wanted)
        raise _not_found(wanted, self.text)


def _nil_as(wanted: type) -> Any:
    if wanted is dict:
        return {}
    raise TemplateError(f"cannot assign nil to {_WANTED.get(wanted, wanted.__name__)}")


_WANTED = {str: "string", int: "integer", float: "float", bool: "bool"}


def _not_found(wanted: type, text: str) -> TemplateError:
    return TemplateError(f"expected {_WANTED.get(wanted, wanted.__name__)}; found {text}")


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric constant, which is an int or a float as its parameter likes, when its value allows it."""

    constant: int | float
    text: str

    def value(self, _: Frame, __: Any) -> Any:
        if isinstance(self.constant, int) and not fits64(self.constant):
            raise TemplateError(f"{self.text} overflows int")
        return self.constant

    def argument(self, frame: Frame, dot: Any, wanted: type) -> Any:
        if wanted is object:
            return self.value(frame, dot)
        if wanted is float:
            return float(self.constant)
        if wanted is int and self.constant == int(self.constant) and fits64(int(self.constant)):
            return int(self.constant)
        raise _not_found(wanted, self.text)


@dataclass(frozen=True, slots=True)
class Call(_Evaluated):
    """A function with its arguments; in a pipeline what came before is the last one."""

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
            node.value(frame, dot) if wanted is object else node.argument(frame, dot, wanted)
            for node, wanted in zip(self.arguments, function.types_of(count), strict=True)
        ]
        if final:
            values.append(checked(function.type_at(count), final[0]))
        return function.call(frame.run, self.name, values)


@dataclass(frozen=True, slots=True)
class Choice(_Evaluated):
    """`and` (stops_at False) and `or` (stops_at True): the first argument whose truth is that, else the last one."""

    name: str
    stops_at: bool
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
            if bool(value) is self.stops_at:
                return value
        return final[0] if final else value


@dataclass(frozen=True, slots=True)
class Operand:
    """A command that starts with a value instead of a function: nothing may follow it but arguments of a method."""

    node: Node
    arguments: tuple[Node, ...] = ()

    def result(self, frame: Frame, dot: Any, final: list[Any]) -> Any:
        if not self.arguments and not final:
            return self._alone(frame, dot)
        if not isinstance(self.node, Fields):
            raise TemplateError(f"can't give argument to non-function {self.node.text}")
        *names, last = self.node.names
        method = field(Fields(tuple(names), self.node.base, self.node.text).value(frame, dot), last)
        if not callable(method):
            raise TemplateError(f"{last} is not a method but has arguments")
        return Call(last, function(method), self.arguments).result(frame, dot, final)

    def _alone(self, frame: Frame, dot: Any) -> Any:
        if isinstance(self.node, Constant) and self.node.constant is None:
            raise TemplateError("nil is not a command")
        return self.node.value(frame, dot)


@dataclass(frozen=True, slots=True)
class Pipe(_Evaluated):
    """`$x := first | then | …`. slots: the variables that it sets."""

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
            error.blame(self.line)
            raise
        for slot in self.slots:
            frame.variables[slot] = value
        return value
