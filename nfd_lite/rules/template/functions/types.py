"""Sprig's functions on any value: defaults, emptiness, types.

Source: masterminds.github.io/sprig/defaults.html, reflection.html and flow_control.html.
"""

from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.text import show
from nfd_lite.rules.template.values import identity, kind_name, type_name


def to_string(run: Run, value: Any) -> str:
    return show(run, value)


def default(fallback: Any, *given: Any) -> Any:
    return given[0] if given and given[0] else fallback


def empty(value: Any) -> bool:
    return not value


def coalesce(*values: Any) -> Any:
    """The first that is not empty."""
    return next((value for value in values if value), None)


def all_(*values: Any) -> bool:
    return all(values)


def any_(*values: Any) -> bool:
    return any(values)


def ternary(when_true: Any, when_false: Any, condition: bool) -> Any:
    return when_true if condition else when_false


def type_of(value: Any) -> str:
    return type_name(value)


def type_is(name: str, value: Any) -> bool:
    return type_name(value) == name


def type_is_like(name: str, value: Any) -> bool:
    """Also for a pointer to that type."""
    return type_name(value) in {name, f"*{name}"}


def kind_of(value: Any) -> str:
    return kind_name(value)


def kind_is(name: str, value: Any) -> bool:
    return kind_name(value) == name


def deep_equal(run: Run, left: Any, right: Any) -> bool:
    return bool(identity(run, left) == identity(run, right))


def fail(message: str) -> str:
    raise TemplateError(message)


FUNCTIONS = table(
    {
        "toString": to_string,
        "default": default,
        "empty": empty,
        "coalesce": coalesce,
        "all": all_,
        "any": any_,
        "ternary": ternary,
        "typeOf": type_of,
        "typeIs": type_is,
        "typeIsLike": type_is_like,
        "kindOf": kind_of,
        "kindIs": kind_is,
        "deepEqual": deep_equal,
        "fail": fail,
    }
)
