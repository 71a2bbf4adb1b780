"""Functions that templates call. A function's Python annotations are its Go signature: arguments are checked against them.

`Any` takes everything, `*rest` any number; a first parameter of type Run is filled in by the call.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.run import CHARGE, Run
from nfd_lite.rules.template.values import Strings, Struct, type_name

_GO_TYPES: Mapping[type, str] = {
    str: "string",
    int: "int",
    float: "float64",
    bool: "bool",
    dict: "map[string]interface {}",
}
_SIZED = frozenset([str, list, dict, Strings])


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """code: what runs. types: of its parameters, with object for any value. rest: of the variadic ones, None without.
    takes_run: whether the run comes before the arguments.
    """

    code: Callable[..., Any]
    types: tuple[type, ...]
    rest: type | None
    takes_run: bool

    def type_at(self, position: int) -> type:
        return self.types[position] if position < len(self.types) else self.rest or object

    def types_of(self, count: int) -> tuple[type, ...]:
        """The types of the first arguments."""
        missing = count - len(self.types)
        return self.types[:count] if missing <= 0 else self.types + (self.rest or object,) * missing

    def check_count(self, name: str, count: int) -> None:
        least = len(self.types)
        if count != least and (count < least or self.rest is None):
            wanted = f"{least}" if self.rest is None else f"at least {least}"
            raise TemplateError(f"wrong number of args for {name}: want {wanted} got {count}")

    def call(self, run: Run, name: str, arguments: list[Any]) -> Any:
        """The result for checked arguments. Raises TemplateError naming the function."""
        cost = 1
        for value in arguments:
            if type(value) in _SIZED:
                cost += len(value) // CHARGE
        run.spend(cost)
        try:
            result = self.code(run, *arguments) if self.takes_run else self.code(*arguments)
            if type(result) in _SIZED and len(result) >= CHARGE:
                run.reserve(len(result))
        except TemplateError as error:
            raise TemplateError(f"error calling {name}: {error.message}", error.line) from error
        return result


def checked(wanted: type, value: Any) -> Any:
    """The value, if Go would pass it to a parameter of that type."""
    if wanted is object or type(value) is wanted or (wanted is dict and isinstance(value, dict)):
        return value
    raise TemplateError(f"wrong type for value; expected {_go_type(wanted)}; got {type_name(value)}")


def _go_type(wanted: type) -> str:
    return wanted.go_type if issubclass(wanted, Struct) else _GO_TYPES[wanted]


def function(code: Callable[..., Any]) -> Function:
    """The Function that a Python function with annotations is."""
    names = code.__code__.co_varnames
    hints = code.__annotations__
    types = [_plain(hints[name]) for name in names[: code.__code__.co_argcount]]
    takes_run = types[:1] == [Run]
    variadic = bool(code.__code__.co_flags & 0x04)
    return Function(
        code=code,
        types=tuple(types[takes_run:]),
        rest=_plain(hints[names[code.__code__.co_argcount]]) if variadic else None,
        takes_run=takes_run,
    )


def _plain(hint: Any) -> type:
    plain: type = object if hint is Any else get_origin(hint) or hint
    return plain


def table(codes: Mapping[str, Callable[..., Any]]) -> Mapping[str, Function]:
    """Functions under the names that templates call them by."""
    return {name: function(code) for name, code in codes.items()}
