"""Go's values in Python, and the questions a template asks them.

nil is None, `int` is int, `int64` is Int64, `float64` is float, a list is `[]interface {}`, a dict is `map[string]interface {}`.
Go's strings are bytes: where a template cuts one in the middle of a character, the stray bytes are kept as surrogate escapes.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.run import Run

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_SURROGATE = re.compile("[\ud800-\udfff]")
MAXIMUM_DEPTH = 40
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


class Int64(int):
    """What Sprig's arithmetic gives; a parameter of type int does not take it, as in Go."""


class Strings(dict[str, str]):
    """A `map[string]string`: an element of a feature, or what `split` gives. Indexing it with a missing key gives ""."""


class Struct:
    """A Go value with fields and methods of its own."""

    go_type: ClassVar[str]

    def member(self, name: str) -> Any:
        """A field's value, or a method as a Python callable."""
        raise TemplateError(f"can't evaluate field {name} in type {self.go_type}")


_TYPES: Mapping[type, tuple[str, str]] = {
    type(None): ("<nil>", "invalid"),
    bool: ("bool", "bool"),
    int: ("int", "int"),
    Int64: ("int64", "int64"),
    float: ("float64", "float64"),
    str: ("string", "string"),
    list: ("[]interface {}", "slice"),
    dict: ("map[string]interface {}", "map"),
    Strings: ("map[string]string", "map"),
}


def type_name(value: Any) -> str:
    """As Go's %T says it."""
    return value.go_type if isinstance(value, Struct) else _TYPES[type(value)][0]


def kind_name(value: Any) -> str:
    """As Go's reflect.Kind says it."""
    return "struct" if isinstance(value, Struct) else _TYPES[type(value)][1]


def wrap64(number: int) -> Int64:
    """The number as 64 bits hold it."""
    return Int64((number - LOWEST) % (1 << 64) + LOWEST)


def fits64(number: int) -> bool:
    return LOWEST <= number <= HIGHEST


def raw(text: str) -> bytes:
    """The bytes of a Go string."""
    return text.encode("utf-8", "surrogateescape")


def from_raw(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def clean(text: str) -> str:
    """Text with U+FFFD for what is not Unicode."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def whole(text: str) -> str:
    """Text whose cut characters are put together again where their bytes have met; U+FFFD for the rest."""
    return text if text.isascii() else raw(text).decode("utf-8", "replace")


def own(value: Any, *, strings: bool = True, depth: int = MAXIMUM_DEPTH) -> Any:
    """A copy of data from outside that a template may change. Raises TemplateError for what no template could hold.

    strings: whether maps that hold nothing but strings are `map[string]string`, as elements of features are.
    """
    if depth == 0:
        raise TemplateError("the data are nested too deep")
    match value:
        case str():
            return clean(value)
        case None | bool() | float():
            return value
        case int():
            if not fits64(value):
                raise TemplateError(f"the data hold {value:#x}, which does not fit in 64 bits")
            return int(value)
        case Mapping():
            return _own_mapping(value, strings, depth)
        case list() | tuple():
            return [own(item, strings=strings, depth=depth - 1) for item in value]
    raise TemplateError(f"the data hold a {type(value).__name__}, which no template can use")


def _own_mapping(value: Mapping[Any, Any], strings: bool, depth: int) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in value):
        raise TemplateError("the data hold a mapping with a key that is not a string")
    copy = {clean(key): own(item, strings=strings, depth=depth - 1) for key, item in value.items()}
    return Strings(copy) if strings and copy and all(isinstance(item, str) for item in copy.values()) else copy


def field(value: Any, name: str) -> Any:
    """`value.name`, with missingkey=error."""
    if isinstance(value, dict):
        try:
            return value[name]
        except KeyError:
            raise TemplateError(f'map has no entry for key "{name}"') from None
    if isinstance(value, Struct):
        return value.member(name)
    if value is None:
        raise TemplateError(f"nil pointer evaluating interface {{}}.{name}")
    raise TemplateError(f"can't evaluate field {name} in type {type_name(value)}")


def identity(run: Run, value: Any, depth: int = MAXIMUM_DEPTH) -> Any:
    """Something to compare and hash in the value's place: equal for what Go's reflect.DeepEqual calls equal."""
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep")
    if isinstance(value, list):
        return list, tuple([identity(run, item, depth - 1) for item in value])
    if isinstance(value, dict):
        return type(value), frozenset([(key, identity(run, item, depth - 1)) for key, item in value.items()])
    return type(value), value


def copy_of(run: Run, value: Any, depth: int = MAXIMUM_DEPTH) -> Any:
    """The value with lists and maps of its own all the way down."""
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep")
    if isinstance(value, list):
        return [copy_of(run, item, depth - 1) for item in value]
    if isinstance(value, dict):
        return type(value)({key: copy_of(run, item, depth - 1) for key, item in value.items()})
    return value
