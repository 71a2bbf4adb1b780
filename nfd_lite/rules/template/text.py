"""Values as text, as Go's fmt package prints them with %v and %q."""

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.values import MAXIMUM_DEPTH, raw

_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}


def float_text(value: float) -> str:
    """The shortest digits that name the number; from a million on and below 0.0001 with an exponent, as %v."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    mantissa, decimals, exponent = shortest(value)
    return f"{value:.{max(0, decimals - exponent)}f}" if -4 <= exponent < 6 else f"{mantissa}e{exponent:+03d}"


def shortest(value: float) -> tuple[str, int, int]:
    """The shortest mantissa that names the number (`-1.25`), how many decimals it has, and its power of ten."""
    sign, digits, _ = (exact := Decimal(repr(value)).normalize()).as_tuple()
    first, *rest = map(str, digits)
    return "-" * sign + first + ("." + "".join(rest) if rest else ""), len(rest), exact.adjusted()


def quoted(text: str, *, quote: str = '"', ascii_only: bool = False) -> str:
    """The text as a Go string or character constant."""
    return quote + "".join(_quoted_characters(text, quote, ascii_only)) + quote


def _quoted_characters(text: str, quote: str, ascii_only: bool) -> Iterator[str]:
    for character in text:
        code = ord(character)
        if character == quote:
            yield "\\" + quote
        elif code in _ESCAPES:
            yield _ESCAPES[code]
        elif character.isprintable() and (code < 128 or not ascii_only):
            yield character
        elif 0xDC80 <= code <= 0xDCFF:
            yield f"\\x{code - 0xDC00:02x}"
        else:
            yield _escaped_code(code)


def _escaped_code(code: int) -> str:
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def show(run: Run, value: Any) -> str:
    """%v of the value. Raises TemplateError when the text would be larger than a run may hold."""
    if isinstance(value, str):
        return value
    if not isinstance(value, (list, dict)):
        return _scalar(value)
    return run.gather(_pieces(run, value, MAXIMUM_DEPTH))


def _scalar(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    return int.__repr__(value) if isinstance(value, int) else str(value)


def _pieces(run: Run, value: Any, depth: int) -> Iterator[str]:
    run.spend()
    if depth == 0:
        raise TemplateError("a value is nested too deep to print")
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield " " if position else "["
            yield from _pieces(run, item, depth - 1)
        yield "]" if value else "[]"
    elif isinstance(value, dict):
        yield "map["
        for position, key in enumerate(sorted(value)):
            yield f" {key}:" if position else f"{key}:"
            yield from _pieces(run, value[key], depth - 1)
        yield "]"
    else:
        yield value if isinstance(value, str) else _scalar(value)


def printed(run: Run, value: Any) -> str:
    """What `{{ value }}` writes."""
    return "<no value>" if value is None else show(run, value)


def byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(raw(text))
