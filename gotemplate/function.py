"""The functions that templates call. The Python annotations of a function are its Go signature.

`Any` accepts every value. `*values` accepts any number of values. A first parameter of type Run receives the run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from gotemplate.errors import TemplateError
from gotemplate.run import CHARACTERS_PER_STEP, Run
from gotemplate.values import StringMap, Struct, type_name

_GO_TYPES: Mapping[type, str] = {
    str: "string",
    int: "int",
    float: "float64",
    bool: "bool",
    dict: "map[string]interface {}",
}
_SIZED = frozenset([str, list, dict, StringMap])


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A Python function with its Go signature. types: of the parameters; object accepts every value.
    variadic: the type of the variadic parameter, or None. needs_run: whether the run is the first argument of `code`.
    """

    code: Callable[..., Any]
    types: tuple[type, ...]
    variadic: type | None
    needs_run: bool

    def type_at(self, position: int) -> type:
        return self.types[position] if position < len(self.types) else self.variadic or object

    def types_of(self, count: int) -> tuple[type, ...]:
        """Returns the types of the first `count` parameters."""
        missing = count - len(self.types)
        return self.types[:count] if missing <= 0 else self.types + (self.variadic or object,) * missing

    def check_count(self, name: str, count: int) -> None:
        least = len(self.types)
        if count != least and (count < least or self.variadic is None):
            expected = f"{least}" if self.variadic is None else f"at least {least}"
            raise TemplateError(f"wrong number of args for {name}: want {expected} got {count}")

    def call(self, run: Run, name: str, arguments: list[Any]) -> Any:
        """Calls the function with arguments of the right types. Raises TemplateError with the name of the function."""
        cost = 1
        for value in arguments:
            if type(value) in _SIZED:
                cost += len(value) // CHARACTERS_PER_STEP
        run.spend(cost)
        try:
            result = self.code(run, *arguments) if self.needs_run else self.code(*arguments)
            if type(result) in _SIZED and len(result) >= CHARACTERS_PER_STEP:
                run.reserve(len(result))
        except TemplateError as error:
            raise TemplateError(f"error calling {name}: {error.message}", error.line) from error
        return result


def check_type(expected: type, value: Any) -> Any:
    """Returns the value. Raises TemplateError if Go refuses the value for a parameter of the type."""
    if expected is object or type(value) is expected or (expected is dict and isinstance(value, dict)):
        return value
    raise TemplateError(f"wrong type for value; expected {go_type(expected)}; got {type_name(value)}")


def go_type(expected: type) -> str:
    """Returns Go's name of a parameter's type."""
    return expected.go_type if issubclass(expected, Struct) else _GO_TYPES[expected]


def function(code: Callable[..., Any]) -> Function:
    """Makes a Function of a Python function with annotations."""
    names = code.__code__.co_varnames
    hints = code.__annotations__
    types = [_plain(hints[name]) for name in names[: code.__code__.co_argcount]]
    needs_run = types[:1] == [Run]
    variadic = bool(code.__code__.co_flags & 0x04)
    return Function(
        code=code,
        types=tuple(types[needs_run:]),
        variadic=_plain(hints[names[code.__code__.co_argcount]]) if variadic else None,
        needs_run=needs_run,
    )


def _plain(hint: Any) -> type:
    plain: type = object if hint is Any else get_origin(hint) or hint
    return plain


def function_table(codes: Mapping[str, Callable[..., Any]]) -> Mapping[str, Function]:
    """Returns the functions by their names in templates. A key is one name, or several names with spaces between."""
    return {name: function(code) for names, code in codes.items() for name in names.split()}
