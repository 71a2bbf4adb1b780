"""Formats one scalar with one printf verb. Source: pkg.go.dev/fmt."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gotemplate.text import float_text, quoted, shortest
from gotemplate.values import Int64, Struct, to_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A parsed verb such as `%-8.3f`. flags: a subset of `+-# 0`. width, precision: None if absent."""

    flags: frozenset[str]
    width: int | None
    precision: int | None
    verb: str

    @property
    def minimum_length(self) -> int:
        """The minimum length of the text."""
        return max(self.width or 0, self.precision or 0)

    @property
    def go_syntax(self) -> bool:
        return self.verb == "v" and "#" in self.flags

    @property
    def sign(self) -> str:
        """The prefix of a number that is not negative."""
        return "+" if "+" in self.flags and self.verb != "v" else " " if " " in self.flags else ""


def pad(spec: Spec, text: str) -> str:
    if spec.width is None:
        return text
    if "-" in spec.flags:
        return text.ljust(spec.width)
    return text.rjust(spec.width, "0" if "0" in spec.flags else " ")


def _pad_with_spaces(spec: Spec, text: str) -> str:
    return text.ljust(spec.width or 0) if "-" in spec.flags else text.rjust(spec.width or 0)


def _format_bool(spec: Spec, value: bool) -> str | None:
    return pad(spec, "true" if value else "false") if spec.verb in "tv" else None


_BASES: Mapping[str, str] = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}


def _format_int(spec: Spec, value: int) -> str | None:
    if spec.verb in _BASES:
        return _pad_with_spaces(spec, _format_digits(spec, value))
    character = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF else "\ufffd"
    if spec.verb == "c":
        return pad(spec, character)
    if spec.verb == "q":
        return pad(spec, quoted(character, quote="'", ascii_only="+" in spec.flags))
    return _pad_with_spaces(spec, _format_code_point(spec, value, character)) if spec.verb == "U" else None


def _format_digits(spec: Spec, value: int) -> str:
    sign = "-" if value < 0 else spec.sign
    if spec.precision == 0 and value == 0:
        return ""
    digits = format(abs(value), _BASES[spec.verb])
    if spec.precision is not None:
        digits = digits.rjust(spec.precision, "0")
    elif "0" in spec.flags and "-" not in spec.flags:
        digits = digits.rjust((spec.width or 0) - len(sign), "0")
    return sign + _base_prefix(spec, digits) + digits


def _base_prefix(spec: Spec, digits: str) -> str:
    if spec.verb == "O":
        return "0o"
    if "#" not in spec.flags:
        return ""
    return {"b": "0b", "x": "0x", "X": "0X", "o": "" if digits.startswith("0") else "0"}.get(spec.verb, "")


def _format_code_point(spec: Spec, value: int, character: str) -> str:
    text = f"U+{value % (1 << 64):0{max(4, spec.precision or 0)}X}"
    return (
        f"{text} '{character}'" if "#" in spec.flags and character.isprintable() and value == ord(character) else text
    )


def _format_float(spec: Spec, value: float) -> str | None:
    if spec.verb not in "vgGeEfFxXb":
        return None
    if not math.isfinite(value):
        return _pad_with_spaces(spec, _infinity_or_nan(spec, value))
    digits = _format_float_digits(spec, abs(value))
    sign = "-" if math.copysign(1, value) < 0 else spec.sign
    if "0" in spec.flags and "-" not in spec.flags:
        return sign + digits.rjust((spec.width or 0) - len(sign), "0")
    return _pad_with_spaces(spec, sign + digits)


def _infinity_or_nan(spec: Spec, value: float) -> str:
    if math.isnan(value):
        return f"{spec.sign}NaN"
    return " Inf" if value > 0 and spec.sign == " " else float_text(value)


def _format_float_digits(spec: Spec, value: float) -> str:
    if spec.verb in "eEfF":
        return format(
            value, f"{'#' * ('#' in spec.flags)}.{6 if spec.precision is None else spec.precision}{spec.verb}"
        )
    if spec.verb in "xX":
        text = _format_hex_float(value, spec.precision)
        return text.upper() if spec.verb == "X" else text
    if spec.verb == "b":
        mantissa, exponent = math.frexp(value)
        return f"{int(mantissa * 2**53)}p{exponent - 53:+d}"
    text = _format_general(spec, value)
    return text.upper() if spec.verb == "G" else text


def _format_general(spec: Spec, value: float) -> str:
    alternate = "#" in spec.flags and spec.verb != "v"
    if spec.precision is not None:
        return format(value, f"{'#' * alternate}.{spec.precision}g")
    return format(value, "#.6g") if alternate and shortest(value)[1] < 6 else float_text(value)


def _format_hex_float(value: float, precision: int | None) -> str:
    mantissa, exponent = math.frexp(value)
    bits = int(mantissa * 2**53)
    if precision is not None and precision < 13:
        step = 1 << (52 - 4 * precision)
        bits = round(bits / step) * step
    exponent += bits.bit_length() - 54
    digits = f"{bits:x}"[1:].rstrip("0") if precision is None else f"{bits:x}"[1:].ljust(precision, "0")[:precision]
    return f"0x{1 if value else 0}{'.' * bool(digits)}{digits}p{exponent if value else 0:+03d}"


def _format_string(spec: Spec, value: str) -> str | None:
    if spec.verb in "xX":
        return pad(spec, _format_hex_string(spec, value))
    text = value if spec.precision is None else value[: spec.precision]
    if spec.verb == "q" or spec.go_syntax:
        return pad(spec, _quote_string(spec, text))
    return pad(spec, text) if spec.verb in "sv" else None


def _quote_string(spec: Spec, text: str) -> str:
    printable = all(character.isprintable() or character == "\t" for character in text)
    if "#" in spec.flags and spec.verb == "q" and printable and "`" not in text:
        return f"`{text}`"
    return quoted(text, ascii_only="+" in spec.flags and not spec.go_syntax)


def _format_hex_string(spec: Spec, value: str) -> str:
    data = to_bytes(value)[: spec.precision]
    prefix = "0x" if "#" in spec.flags and data else ""
    text = f" {prefix}".join(f"{byte:02x}" for byte in data) if " " in spec.flags else data.hex()
    return (prefix + text).upper() if spec.verb == "X" else prefix + text


PLAIN_VERBS: Mapping[type, str] = {bool: "t", int: "d", Int64: "d", float: "g", str: "s"}

_FORMATTERS: Mapping[type, Callable[[Spec, Any], str | None]] = {
    bool: _format_bool,
    int: _format_int,
    Int64: _format_int,
    float: _format_float,
    str: _format_string,
}


def format_scalar(spec: Spec, value: Any) -> str | None:
    """Returns the text of a scalar, or None if the verb does not apply to its type."""
    return _format_string(spec, str(value)) if isinstance(value, Struct) else _FORMATTERS[type(value)](spec, value)
