"""The functions of Go's text/template itself, but `and` and `or`, which evaluate only what they need."""

import itertools
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.printf import sprintf
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.text import byte_length, printed, show
from nfd_lite.rules.template.values import Strings, Struct, from_raw, kind_name, raw, type_name

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
        return byte_length(value)
    if isinstance(value, (list, dict)):
        return len(value)
    raise TemplateError("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise TemplateError("index of untyped nil")
    for key in keys:
        value = _at(value, key)
    return value


def _at(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return _entry(value, key)
    if isinstance(value, (str, list)):
        sequence = raw(value) if isinstance(value, str) else value
        position = _position(key, len(sequence))
        if position == len(sequence):
            raise TemplateError(f"index out of range: {position}")
        return sequence[position]
    raise TemplateError(f"can't index item of type {type_name(value)}")


def _entry(value: dict[str, Any], key: Any) -> Any:
    if not isinstance(key, str):
        problem = (
            "value is nil; should be of type string"
            if key is None
            else f"value has type {type_name(key)}; should be string"
        )
        raise TemplateError(problem)
    return value.get(key, "" if isinstance(value, Strings) else None)


def _position(key: Any, length: int) -> int:
    if isinstance(key, bool) or not isinstance(key, int):
        raise TemplateError("cannot index slice/array with " + ("nil" if key is None else f"type {type_name(key)}"))
    if not 0 <= key <= length:
        raise TemplateError(f"index out of range: {key}")
    return key


def slice_(value: Any, *ends: Any) -> Any:
    """Go's own slice for strings and Sprig's for lists, which a list's start and end mean the same to."""
    if not isinstance(value, (str, list)):
        raise TemplateError("slice of untyped nil" if value is None else f"can't slice item of type {type_name(value)}")
    if len(ends) > (2 if isinstance(value, str) else 3):
        raise TemplateError("cannot 3-index slice a string" if isinstance(value, str) else "too many slice indexes")
    sequence = raw(value) if isinstance(value, str) else value
    positions = [_position(end, len(sequence)) for end in ends] or [0]
    for left, right in itertools.pairwise(positions):
        if left > right:
            raise TemplateError(f"invalid slice index: {left} > {right}")
    part = sequence[positions[0] : positions[1] if len(positions) > 1 else len(sequence)]
    return from_raw(part) if isinstance(part, bytes) else part


def _kind(value: Any) -> str | None:
    return None if value is None else _COMPARABLE.get(kind_name(value), "")


def eq(first: Any, *others: Any) -> bool:
    """Whether the first equals any of the others."""
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def _equal(left: Any, right: Any) -> bool:
    kinds = _kind(left), _kind(right)
    for value, kind in zip((left, right), kinds, strict=True):
        if kind == "" and not isinstance(value, Struct) and None not in kinds:
            raise TemplateError(f"non-comparable type {type_name(value)}")
    if None in kinds:
        return left is right
    if kinds[0] != kinds[1]:
        raise _incompatible(left, right)
    return bool(left == right)


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
    """The values' text, with a space between two of which neither is a string."""
    pieces: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            pieces.append(" ")
        pieces.append(show(run, value))
    return _joined(run, pieces)


def _joined(run: Run, pieces: Sequence[str]) -> str:
    run.reserve(sum(map(len, pieces)))
    return "".join(pieces)


def println(run: Run, *values: Any) -> str:
    return " ".join([show(run, value) for value in values]) + "\n"


def printf(run: Run, layout: str, *values: Any) -> str:
    return sprintf(run, layout, values)


def _evaluated(run: Run, values: tuple[Any, ...]) -> str:
    """The arguments of an escaper as one text."""
    if len(values) == 1:
        return printed(run, values[0])
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
    return quote_plus(raw(_evaluated(run, values)), safe="")


FUNCTIONS = table(
    {
        "call": call,
        "not": not_,
        "len": len_,
        "index": index,
        "slice": slice_,
        "mustSlice": slice_,
        "eq": eq,
        "ne": ne,
        "lt": lt,
        "le": le,
        "gt": gt,
        "ge": ge,
        "print": print_,
        "println": println,
        "printf": printf,
        "html": html,
        "js": js,
        "urlquery": urlquery,
    }
)
