"""Sprig's random values, from the random bytes of the run's Outside. Source: masterminds.github.io/sprig/strings.html, uuid.html."""

import base64
import string

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.run import Run

_ASCII = "".join(map(chr, range(32, 127)))


def _bytes(run: Run, count: int) -> bytes:
    if count < 0:
        raise TemplateError(f"cannot make {count} random bytes")
    run.reserve(count)
    return run.outside.random_bytes(count)


def _below(run: Run, bound: int) -> int:
    return int.from_bytes(_bytes(run, 16)) % bound


def _letters(run: Run, count: int, alphabet: str) -> str:
    """256 is little more than the longest alphabet, so two bytes a letter keep them about equally likely."""
    data = _bytes(run, 2 * count)
    return "".join([alphabet[(data[at] * 256 + data[at + 1]) % len(alphabet)] for at in range(0, len(data), 2)])


def rand_alpha_num(run: Run, count: int) -> str:
    return _letters(run, count, string.ascii_letters + string.digits)


def rand_alpha(run: Run, count: int) -> str:
    return _letters(run, count, string.ascii_letters)


def rand_numeric(run: Run, count: int) -> str:
    return _letters(run, count, string.digits)


def rand_ascii(run: Run, count: int) -> str:
    return _letters(run, count, _ASCII)


def rand_bytes(run: Run, count: int) -> str:
    """That many bytes, in base64."""
    return base64.b64encode(_bytes(run, count)).decode()


def rand_int(run: Run, lowest: int, bound: int) -> int:
    """At least lowest, and below bound."""
    if bound <= lowest:
        raise TemplateError(f"there is no number from {lowest} on below {bound}")
    return lowest + _below(run, bound - lowest)


def shuffle(run: Run, text: str) -> str:
    letters = list(text)
    for last in range(len(letters) - 1, 0, -1):
        run.spend()
        other = _below(run, last + 1)
        letters[last], letters[other] = letters[other], letters[last]
    return "".join(letters)


def uuidv4(run: Run) -> str:
    data = bytearray(_bytes(run, 16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join([text[:8], text[8:12], text[12:16], text[16:20], text[20:]])


FUNCTIONS = table(
    {
        "randAlphaNum": rand_alpha_num,
        "randAlpha": rand_alpha,
        "randNumeric": rand_numeric,
        "randAscii": rand_ascii,
        "randBytes": rand_bytes,
        "randInt": rand_int,
        "shuffle": shuffle,
        "uuidv4": uuidv4,
    }
)
