"""Floats and quoted strings as Go's fmt package prints them with %v and %q."""

import math
from collections.abc import Iterator
from decimal import Decimal

_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}


def float_text(value: float) -> str:
    """Returns the number as %v prints it: the shortest digits, with an exponent from a million up and below 0.0001."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    mantissa, decimals, exponent = shortest(value)
    return f"{value:.{max(0, decimals - exponent)}f}" if -4 <= exponent < 6 else f"{mantissa}e{exponent:+03d}"


def shortest(value: float) -> tuple[str, int, int]:
    """Returns the shortest mantissa of the number (`-1.25`), the number of its decimals, and the power of ten."""
    sign, digits, _ = (exact := Decimal(repr(value)).normalize()).as_tuple()
    first, *rest = map(str, digits)
    return "-" * sign + first + ("." + "".join(rest) if rest else ""), len(rest), exact.adjusted()


def quoted(text: str, *, quote: str = '"', ascii_only: bool = False) -> str:
    """Returns the text as a Go string constant, or as a character constant with the quote `'`."""
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
