"""Writes JSON exactly as Go's encoding/json."""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.run import Run
from gotemplate.text import shortest
from gotemplate.values import MAXIMUM_DEPTH, NilList, Struct, repair_text

_ESCAPED = re.compile(r'["\\\x00-\x1f\u2028\u2029]')
_ESCAPED_FOR_HTML = re.compile(r'["\\\x00-\x1f\u2028\u2029<>&]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def json_text(run: Run, value: Any, *, pretty: bool = False, html: bool = True) -> str:
    """Returns the value as JSON. Raises TemplateError for a number that JSON does not have.

    pretty: indent by two spaces for each level. html: escape `<`, `>` and `&`.
    """
    return run.join_pieces(
        _pieces(run, value, "\n" if pretty else "", _ESCAPED_FOR_HTML if html else _ESCAPED, MAXIMUM_DEPTH)
    )


def _pieces(run: Run, value: Any, newline: str, escaped: re.Pattern[str], depth: int) -> Iterator[str]:
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep for JSON")
    inner = newline and newline + "  "
    if isinstance(value, NilList):
        yield "null"
    elif isinstance(value, list):
        yield "["
        for position, item in enumerate(value):
            yield f",{inner}" if position else inner
            yield from _pieces(run, item, inner, escaped, depth - 1)
        yield f"{newline if value else ''}]"
    elif isinstance(value, dict):
        yield "{"
        for position, key in enumerate(sorted(value)):
            yield f",{inner}" if position else inner
            yield _string(key, escaped) + (": " if newline else ":")
            yield from _pieces(run, value[key], inner, escaped, depth - 1)
        yield f"{newline if value else ''}}}"
    else:
        yield _scalar(value, escaped)


def _scalar(value: Any, escaped: re.Pattern[str]) -> str:
    if isinstance(value, (str, Struct)):
        return _string(str(value), escaped)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float(value) if isinstance(value, float) else int.__repr__(value)


def _string(text: str, escaped: re.Pattern[str]) -> str:
    return '"' + escaped.sub(lambda match: _SHORT.get(match[0], f"\\u{ord(match[0]):04x}"), repair_text(text)) + '"'


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise TemplateError("JSON has no NaN and no infinity")
    mantissa, _, exponent = shortest(value)
    if value == 0 or -6 <= exponent < 21:
        return f"{Decimal(repr(value)).normalize():f}"
    return f"{mantissa}e{exponent:+d}"
