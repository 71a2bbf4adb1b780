"""Sprig's functions for any value: defaults, emptiness, types.

Source: masterminds.github.io/sprig/defaults.html, reflection.html and flow_control.html.
"""

from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.printf import format_value
from gotemplate.run import Run
from gotemplate.values import comparison_key, kind_name, type_name


def default(fallback: Any, *given: Any) -> Any:
    return given[0] if given and given[0] else fallback


def empty(value: Any) -> bool:
    return not value


def coalesce(*values: Any) -> Any:
    """Returns the first value that is not empty."""
    return next((value for value in values if value), None)


def all_(*values: Any) -> bool:
    return all(values)


def any_(*values: Any) -> bool:
    return any(values)


def ternary(when_true: Any, when_false: Any, condition: bool) -> Any:
    return when_true if condition else when_false


def type_is(name: str, value: Any) -> bool:
    return type_name(value) == name


def type_is_like(name: str, value: Any) -> bool:
    """Returns whether the value has the type, or is a pointer to the type."""
    return type_name(value) in {name, f"*{name}"}


def kind_is(name: str, value: Any) -> bool:
    return kind_name(value) == name


def deep_equal(run: Run, left: Any, right: Any) -> bool:
    return bool(comparison_key(run, left) == comparison_key(run, right))


def fail(message: str) -> str:
    raise TemplateError(message)


FUNCTIONS = function_table({
    "toString": format_value, "default": default, "empty": empty, "coalesce": coalesce, "all": all_, "any": any_,
    "ternary": ternary, "typeOf": type_name, "typeIs": type_is, "typeIsLike": type_is_like, "kindOf": kind_name,
    "kindIs": kind_is, "deepEqual": deep_equal, "fail": fail,
})  # fmt: skip
