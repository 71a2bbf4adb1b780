"""Go's constants: numbers, characters and strings. Also the numbers in strings that Go's strconv parses."""

import re

from gotemplate.errors import TemplateError
from gotemplate.values import from_bytes

_INTEGER = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)"
)
_DECIMAL = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*\.?|(?=\.[0-9]))(?:(?<=\.)[0-9](?:_?[0-9])*|\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?"
)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9]+")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_HIGHEST_UNSIGNED = (1 << 64) - 1
MAXIMUM_DIGITS = 400


def parse_integer(text: str) -> int | None:
    """Parses an integer as strconv.ParseInt with base 0, but of any size. Returns None for any other text."""
    if len(text) > MAXIMUM_DIGITS or _INTEGER.fullmatch(text) is None:
        return None
    digits = text.replace("_", "").lstrip("+-")
    base = {"x": 16, "o": 8, "b": 2}.get(digits[1:2].lower(), 8 if digits.startswith("0") else 10)
    number = int(digits, base)
    return -number if text.startswith("-") else number


def parse_float(text: str) -> float | None:
    """Parses a finite number as strconv.ParseFloat. Returns None for any other text."""
    if len(text) > MAXIMUM_DIGITS:
        return None
    try:
        if _HEX_FLOAT.fullmatch(text):
            number = float.fromhex(text.replace("_", ""))
        elif _DECIMAL.fullmatch(text):
            number = float(text.replace("_", ""))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return None if number in {float("inf"), float("-inf")} else number


def parse_number(text: str) -> int | float:
    """Parses a numeric constant of a template. Raises TemplateError for a constant that Go refuses."""
    number = parse_integer(text)
    if number is not None:
        if not -(1 << 63) <= number <= _HIGHEST_UNSIGNED:
            raise TemplateError(f'integer overflow: "{text}"')
        return number
    value = parse_float(text)
    if value is None:
        raise TemplateError(f'illegal number syntax: "{text}"')
    if not re.search(r"[.eEpP]", text):
        raise TemplateError(f'integer overflow: "{text}"')
    return value


def parse_character(text: str) -> int:
    """Returns the code point of a character constant such as `'a'`."""
    value = _unquote(text[1:-1], "'")
    single_byte = re.fullmatch(r"\\(?:[0-7]{3}|x[0-9a-fA-F]{2})", text[1:-1])
    if single_byte:
        return value[0]
    characters = from_bytes(value)
    if len(characters) != 1:
        raise TemplateError(f"malformed character constant: {text}")
    return ord(characters)


def parse_string(text: str) -> str:
    """Returns the contents of a string constant in double quotes or back quotes."""
    return text[1:-1].replace("\r", "") if text.startswith("`") else from_bytes(_unquote(text[1:-1], '"'))


def _unquote(text: str, quote: str) -> bytes:
    pieces: list[bytes] = []
    position = 0
    while (escape := text.find("\\", position)) >= 0:
        match = _ESCAPE.match(text, escape)
        if match is None or match[1] == ("'" if quote == '"' else '"'):
            raise TemplateError(f"invalid syntax in {quote}{text}{quote}")
        pieces += [text[position:escape].encode(), _parse_escape(match)]
        position = match.end()
    return b"".join([*pieces, text[position:].encode()])


def _parse_escape(match: re.Match[str]) -> bytes:
    simple, octal, byte, short, long = match.groups()
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise TemplateError(f"invalid syntax: {match[0]} is not a character")
        return chr(code).encode()
    code = _SIMPLE[simple] if simple else int(octal, 8) if octal else int(byte, 16)
    if code > 255:
        raise TemplateError(f"invalid syntax: {match[0]} is not a byte")
    return bytes([code])
