"""The functions of Go's text/template. `and` and `or` are nodes, because they do not evaluate all arguments."""

import itertools
import re
from typing import Any
from urllib.parse import quote_plus

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.printf import format_output, format_value, sprintf
from gotemplate.run import Run
from gotemplate.values import NilList, StringMap, Struct, from_bytes, kind_name, to_bytes, type_name

_COMPARABLE = {"bool": "bool", "int": "int", "int64": "int", "float64": "float", "string": "string"}
_HTML = str.maketrans({"&": "&amp;", "'": "&#39;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "\0": "\ufffd"})
_JS_SPECIAL = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def call(target: Any, *_: Any) -> Any:
    if target is None:
        raise TemplateError("call of nil")
    raise TemplateError(f"non-function of type {type_name(target)}")


def not_(value: Any) -> bool:
    return not value


def len_(value: Any) -> int:
    if isinstance(value, str):
        return len(to_bytes(value))
    if isinstance(value, (list, dict)):
        return len(value)
    raise TemplateError("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise TemplateError("index of untyped nil")
    for key in keys:
        value = _item_at(value, key)
    return value


def _item_at(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return _map_value(value, key)
    if isinstance(value, (str, list)):
        sequence = to_bytes(value) if isinstance(value, str) else value
        position = _position(key, len(sequence))
        if position == len(sequence):
            raise TemplateError(f"index out of range: {position}")
        return sequence[position]
    raise TemplateError(f"can't index item of type {type_name(value)}")


def _map_value(value: dict[str, Any], key: Any) -> Any:
    if not isinstance(key, str):
        problem = (
            "value is nil; should be of type string"
            if key is None
            else f"value has type {type_name(key)}; should be string"
        )
        raise TemplateError(problem)
    return value.get(key, "" if isinstance(value, StringMap) else None)


def _position(key: Any, length: int) -> int:
    if isinstance(key, bool) or not isinstance(key, int):
        raise TemplateError("cannot index slice/array with " + ("nil" if key is None else f"type {type_name(key)}"))
    if not 0 <= key <= length:
        raise TemplateError(f"index out of range: {key}")
    return key


def slice_(value: Any, *ends: Any) -> Any:
    """Slices strings as Go, and lists as Sprig. The result for an empty list is nil."""
    if not isinstance(value, (str, list)):
        raise TemplateError("slice of untyped nil" if value is None else f"can't slice item of type {type_name(value)}")
    if len(ends) > (2 if isinstance(value, str) else 3):
        raise TemplateError("cannot 3-index slice a string" if isinstance(value, str) else "too many slice indexes")
    if value == []:
        return None
    sequence = to_bytes(value) if isinstance(value, str) else value
    positions = [_position(end, len(sequence)) for end in ends] or [0]
    for left, right in itertools.pairwise(positions):
        if left > right:
            raise TemplateError(f"invalid slice index: {left} > {right}")
    part = sequence[positions[0] : positions[1] if len(positions) > 1 else len(sequence)]
    return from_bytes(part) if isinstance(part, bytes) else part


def _kind(value: Any) -> str | None:
    return None if value is None else _COMPARABLE.get(kind_name(value), "")


def eq(first: Any, *others: Any) -> bool:
    """Returns whether the first value is equal to any other value."""
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, NilList) or isinstance(right, NilList):
        return _equal_nil(left, right)
    kinds = _kind(left), _kind(right)
    for value, kind in zip((left, right), kinds, strict=True):
        if kind == "" and not isinstance(value, Struct) and None not in kinds:
            raise TemplateError(f"non-comparable type {type_name(value)}")
    if None in kinds:
        return left is right
    if kinds[0] != kinds[1]:
        raise _incompatible(left, right)
    return bool(left == right)


def _equal_nil(left: Any, right: Any) -> bool:
    """Compares two values, of which one is a nil slice. A nil slice can be compared with lists and with nil."""
    if not all(value is None or isinstance(value, list) for value in (left, right)):
        raise _incompatible(left, right)
    return all(value is None or isinstance(value, NilList) for value in (left, right))


def _incompatible(left: Any, right: Any) -> TemplateError:
    return TemplateError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")


def ne(left: Any, right: Any) -> bool:
    return not _equal(left, right)


def lt(left: Any, right: Any) -> bool:
    return _less(left, right)


def le(left: Any, right: Any) -> bool:
    return _less(left, right) or _equal(left, right)


def gt(left: Any, right: Any) -> bool:
    return not le(left, right)


def ge(left: Any, right: Any) -> bool:
    return not lt(left, right)


def _less(left: Any, right: Any) -> bool:
    kinds = _kind(left), _kind(right)
    if not all(kinds):
        raise TemplateError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise _incompatible(left, right)
    if kinds[0] == "bool":
        raise TemplateError("invalid type for comparison")
    return bool(left < right)


def print_(run: Run, *values: Any) -> str:
    """Returns the texts of the values, with a space between two values if neither is a string."""
    pieces: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            pieces.append(" ")
        pieces.append(format_value(run, value))
    return run.join_pieces(pieces)


def println(run: Run, *values: Any) -> str:
    return " ".join([format_value(run, value) for value in values]) + "\n"


def _evaluated(run: Run, values: tuple[Any, ...]) -> str:
    """Returns the arguments of an escape function as one text."""
    if len(values) == 1:
        return format_output(run, values[0])
    return print_(run, *["<no value>" if value is None else value for value in values])


def html(run: Run, *values: Any) -> str:
    return _evaluated(run, values).translate(_HTML)


def js(run: Run, *values: Any) -> str:
    return re.sub(r"[^ !#-%(-;?-\[\]-\x7f]", lambda match: _js(match[0]), _evaluated(run, values))


def _js(character: str) -> str:
    if character in _JS_SPECIAL:
        return _JS_SPECIAL[character]
    return character if character.isprintable() else f"\\u{ord(character):04X}"


def urlquery(run: Run, *values: Any) -> str:
    return quote_plus(to_bytes(_evaluated(run, values)), safe="")


FUNCTIONS = function_table({
    "call": call, "not": not_, "len": len_, "index": index, "slice mustSlice": slice_, "eq": eq, "ne": ne, "lt": lt,
    "le": le, "gt": gt, "ge": ge, "print": print_, "println": println, "printf": sprintf, "html": html, "js": js,
    "urlquery": urlquery,
})  # fmt: skip
