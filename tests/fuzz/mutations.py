"""Generates damaged versions of valid inputs. Random bytes alone seldom pass the first check of a parser."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

LARGEST = 1 << 16
SPECIAL = (
    b"", b"\0", b"\n", b"\r\n", b"\x85", b"\xe2\x80\xa8", b" ", b"\t", b"=", b":", b",", b"/", b"..", b"-", b"-1", b"0", b"9" * 20,
    b"9" * 5000, b"1e999", b"0x", b"nan", b"\xd9\xa3", b"\xc2\xb2", b"\xff", b"\xed\xb2\x80", b"'", b'"', b"\\", b"*", b"&", b"!!",
    b"[", b"]", b"{", b"}", b"{{", b"}}", b"# ", b"null", b"true", b"%s", b"GPU-", b"\x1b[31m",
)  # fmt: skip
"""Separators, line ends and digits that only Python accepts, and very large numbers."""

Bytes = st.SearchStrategy[bytes]


@st.composite
def mutated(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """Draws a seed or random bytes, with up to six changes."""
    content = draw(st.sampled_from(seeds) | st.binary(max_size=64))
    for _ in range(draw(st.integers(0, 6))):
        content = draw(st.sampled_from(_DAMAGES))(draw, content, seeds)[:LARGEST]
    return content


def mutated_text(*seeds: str) -> st.SearchStrategy[str]:
    """Draws text as it is read from files, in which invalid UTF-8 is replaced, and text with half a surrogate pair, as from JSON."""
    encoded = mutated(*(seed.encode() for seed in seeds))
    return st.one_of(
        encoded.map(lambda content: content.decode(errors="replace")),
        encoded.map(lambda content: content.decode(errors="surrogateescape")),
        st.text(max_size=40),
    )


def _slice(draw: st.DrawFn, content: bytes) -> tuple[int, int]:
    start = draw(st.integers(0, len(content)))
    return start, draw(st.integers(start, min(len(content), start + 64)))


def _insert(draw: st.DrawFn, content: bytes, _: tuple[bytes, ...]) -> bytes:
    at, _end = _slice(draw, content)
    return content[:at] + draw(st.sampled_from(SPECIAL)) + content[at:]


def _replace(draw: st.DrawFn, content: bytes, _: tuple[bytes, ...]) -> bytes:
    start, end = _slice(draw, content)
    return content[:start] + draw(st.sampled_from(SPECIAL) | st.binary(max_size=8)) + content[end:]


def _cut(draw: st.DrawFn, content: bytes, _: tuple[bytes, ...]) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _repeat(draw: st.DrawFn, content: bytes, _: tuple[bytes, ...]) -> bytes:
    start, end = _slice(draw, content)
    return content[:start] + content[start:end] * draw(st.sampled_from([2, 3, 300])) + content[end:]


def _splice(draw: st.DrawFn, content: bytes, seeds: tuple[bytes, ...]) -> bytes:
    other = draw(st.sampled_from(seeds))
    return content[: draw(st.integers(0, len(content)))] + other[draw(st.integers(0, len(other))) :]


def _flip(draw: st.DrawFn, content: bytes, _: tuple[bytes, ...]) -> bytes:
    if not content:
        return content
    at = draw(st.integers(0, len(content) - 1))
    return content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]


_DAMAGES: tuple[Callable[[st.DrawFn, bytes, tuple[bytes, ...]], bytes], ...] = (
    _insert, _replace, _cut, _repeat, _splice, _flip,
)  # fmt: skip

junk: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, -1, 1 << 70, 1.5, float("nan"), float("inf"), "", "x", "1", "-1", "9" * 5000, "a/b", "\x00", "\ud800",
        "²", "٣", "é", "*", "1Gi", [], [None], [[]], ["x"], {}, {"": ""}, {"x": None}, {"x": {"x": []}}, [{"name": "x"}],
    ]
)  # fmt: skip
"""Values of unexpected types."""


@st.composite
def mutated_json(draw: st.DrawFn, *seeds: Any) -> Any:
    """Draws a document in which up to three parts are replaced, removed or duplicated, or another value."""
    value = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        value = _damaged(draw, value)
    return value


def _damaged(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        return _damaged_map(draw, value)
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        return _damaged_list(draw, value)
    return draw(junk)


def _damaged_map(draw: st.DrawFn, value: dict[Any, Any]) -> dict[Any, Any]:
    key = draw(st.sampled_from(sorted(value, key=str)))
    match draw(st.integers(0, 5)):
        case 0:
            return {name: each for name, each in value.items() if name != key}
        case 1:
            return {**value, str(draw(junk))[:20]: draw(junk)}
        case _:
            return {**value, key: _damaged(draw, value[key])}


def _damaged_list(draw: st.DrawFn, value: list[Any]) -> list[Any]:
    at = draw(st.integers(0, len(value) - 1))
    match draw(st.integers(0, 5)):
        case 0:
            return value[:at] + value[at + 1 :]
        case 1:
            return [*value, value[at]]
        case _:
            return [*value[:at], _damaged(draw, value[at]), *value[at + 1 :]]
