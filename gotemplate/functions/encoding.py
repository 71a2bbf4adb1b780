"""Sprig's encodings and checksums. Source: masterminds.github.io/sprig/encoding.html, crypto.html and defaults.html (JSON)."""

import base64
import binascii
import hashlib
import json
import re
import zlib
from typing import Any, NoReturn

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.functions.json_text import json_text
from gotemplate.run import Run
from gotemplate.values import from_bytes, import_value, to_bytes


def b64enc(text: str) -> str:
    return base64.b64encode(to_bytes(text)).decode()


def b32enc(text: str) -> str:
    return base64.b32encode(to_bytes(text)).decode()


def b64dec(text: str) -> str:
    """Decodes base64. As in Sprig, the result for a text that is not base64 is the text of the error."""
    try:
        return from_bytes(base64.b64decode(_unfolded(text), validate=True))
    except (binascii.Error, ValueError):
        return f"illegal base64 data at input byte {_fault(text, '[^A-Za-z0-9+/]', 4)}"


def b32dec(text: str) -> str:
    try:
        return from_bytes(base64.b32decode(_unfolded(text)))
    except (binascii.Error, ValueError):
        return f"illegal base32 data at input byte {_fault(text, '[^A-Z2-7]', 8)}"


def _unfolded(text: str) -> bytes:
    return to_bytes(text).replace(b"\r", b"").replace(b"\n", b"")


def _fault(text: str, strange: str, group: int) -> int:
    """Returns the position of the error as Go: the first invalid character, the end after padding, or the last group if it is too short."""
    match = re.search(strange, text)
    if match is None:
        return len(text) // group * group
    return len(text) if match[0] == "=" else match.start()


def sha1sum(text: str) -> str:
    return hashlib.sha1(to_bytes(text), usedforsecurity=False).hexdigest()


def sha256sum(text: str) -> str:
    return hashlib.sha256(to_bytes(text)).hexdigest()


def sha512sum(text: str) -> str:
    return hashlib.sha512(to_bytes(text)).hexdigest()


def adler32sum(text: str) -> str:
    return str(zlib.adler32(to_bytes(text)))


def from_json(text: str) -> Any:
    """Parses JSON. Returns nil for a text that is not JSON."""
    try:
        return must_from_json(text)
    except TemplateError:
        return None


def must_from_json(text: str) -> Any:
    """Parses JSON. As in Go, numbers are float64."""
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TemplateError(f"invalid JSON: {text[:40]!r}") from None
    return import_value(value, strings=False)


def _number(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(digits)
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def to_json(run: Run, value: Any) -> str:
    return json_text(run, value)


def to_pretty_json(run: Run, value: Any) -> str:
    return json_text(run, value, pretty=True)


def to_raw_json(run: Run, value: Any) -> str:
    return json_text(run, value, html=False)


FUNCTIONS = function_table({
    "b64enc": b64enc, "b64dec": b64dec, "b32enc": b32enc, "b32dec": b32dec, "sha1sum": sha1sum, "sha256sum": sha256sum,
    "sha512sum": sha512sum, "adler32sum": adler32sum, "fromJson": from_json, "mustFromJson": must_from_json,
    "toJson mustToJson": to_json, "toPrettyJson mustToPrettyJson": to_pretty_json,
    "toRawJson mustToRawJson": to_raw_json,
})  # fmt: skip
