"""Go's values as Python values.

nil is None, `int` is int, `int64` is Int64, `float64` is float, `[]interface {}` is list, `map[string]interface {}` is dict.
Go's strings are bytes. A template can cut a string inside a character; the bytes of such a part are surrogate escapes in Python.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from gotemplate.errors import TemplateError
from gotemplate.run import Run

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_SURROGATE = re.compile("[\ud800-\udfff]")
MAXIMUM_DEPTH = 40
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


class Int64(int):
    """Go's `int64`, the result of Sprig's arithmetic. As in Go, a parameter of type int refuses an `int64`."""


class NilList(list[Any]):
    """A nil slice. Prints as an empty list, and is null in JSON."""


class StringMap(dict[str, str]):
    """A `map[string]string`: an element of a feature, or the result of `split`. The value of a missing key is ""."""


class Struct:
    """A Go value with fields and methods."""

    go_type: ClassVar[str]

    def get_member(self, name: str) -> Any:
        """Returns the value of a field, or a method as a Python callable."""
        raise TemplateError(f"can't evaluate field {name} in type {self.go_type}")


_TYPES: Mapping[type, tuple[str, str]] = {
    type(None): ("<nil>", "invalid"),
    bool: ("bool", "bool"),
    int: ("int", "int"),
    Int64: ("int64", "int64"),
    float: ("float64", "float64"),
    str: ("string", "string"),
    list: ("[]interface {}", "slice"),
    NilList: ("[]interface {}", "slice"),
    dict: ("map[string]interface {}", "map"),
    StringMap: ("map[string]string", "map"),
}


def type_name(value: Any) -> str:
    """Returns the type as Go's %T prints it."""
    return value.go_type if isinstance(value, Struct) else _TYPES[type(value)][0]


def kind_name(value: Any) -> str:
    """Returns the name of the value's reflect.Kind. A struct whose Go type starts with `*` is a pointer."""
    if isinstance(value, Struct):
        return "ptr" if value.go_type.startswith("*") else "struct"
    return _TYPES[type(value)][1]


def wrap64(number: int) -> Int64:
    """Returns the number in 64 bits, with overflow as in Go."""
    return Int64((number - LOWEST) % (1 << 64) + LOWEST)


def fits64(number: int) -> bool:
    return LOWEST <= number <= HIGHEST


def to_bytes(text: str) -> bytes:
    """Returns the bytes of a Go string."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def replace_surrogates(text: str) -> str:
    """Replaces characters that are not Unicode with U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def repair_text(text: str) -> str:
    """Joins the bytes of cut characters that are adjacent again. Replaces other cut characters with U+FFFD."""
    return text if text.isascii() else to_bytes(text).decode("utf-8", "replace")


def import_value(value: Any, *, strings: bool = True, depth: int = MAXIMUM_DEPTH) -> Any:
    """Returns a copy of the caller's data, which a template may change. Raises TemplateError for a value without a Go type.

    strings: whether a mapping with only strings becomes a `map[string]string`, as the elements of features do.
    """
    if depth == 0:
        raise TemplateError("the data are nested too deep")
    match value:
        case str():
            return replace_surrogates(value)
        case None | bool() | float():
            return value
        case int():
            if not fits64(value):
                raise TemplateError(f"the data contain {value:#x}, which does not fit in 64 bits")
            return int(value)
        case Mapping():
            return _own_mapping(value, strings, depth)
        case list() | tuple():
            return [import_value(item, strings=strings, depth=depth - 1) for item in value]
    raise TemplateError(f"the data contain a value of the type {type(value).__name__}, which templates cannot use")


def _own_mapping(value: Mapping[Any, Any], strings: bool, depth: int) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in value):
        raise TemplateError("the data contain a mapping with a key that is not a string")
    copy = {
        replace_surrogates(key): import_value(item, strings=strings, depth=depth - 1) for key, item in value.items()
    }
    return StringMap(copy) if strings and copy and all(isinstance(item, str) for item in copy.values()) else copy


def get_field(value: Any, name: str) -> Any:
    """Returns `value.name`. Raises TemplateError for a missing key, as Go with missingkey=error."""
    if isinstance(value, dict):
        try:
            return value[name]
        except KeyError:
            raise TemplateError(f'map has no entry for key "{name}"') from None
    if isinstance(value, Struct):
        return value.get_member(name)
    if value is None:
        raise TemplateError(f"nil pointer evaluating interface {{}}.{name}")
    raise TemplateError(f"can't evaluate field {name} in type {type_name(value)}")


def comparison_key(run: Run, value: Any, depth: int = MAXIMUM_DEPTH) -> Any:
    """Returns a hashable key. Two keys are equal if Go's reflect.DeepEqual of the values is true."""
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep")
    if isinstance(value, list):
        return type(value), tuple([comparison_key(run, item, depth - 1) for item in value])
    if isinstance(value, dict):
        return type(value), frozenset([(key, comparison_key(run, item, depth - 1)) for key, item in value.items()])
    return type(value), value


def copy_value(run: Run, value: Any, depth: int = MAXIMUM_DEPTH) -> Any:
    """Returns a deep copy."""
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep")
    if isinstance(value, list):
        return type(value)([copy_value(run, item, depth - 1) for item in value])
    if isinstance(value, dict):
        return type(value)({key: copy_value(run, item, depth - 1) for key, item in value.items()})
    return value
