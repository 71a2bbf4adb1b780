"""Sprig's functions for words: letter case, abbreviation, line wrapping."""

import re
import unicodedata
from collections.abc import Iterator

from gotemplate.function import function_table
from gotemplate.functions.strings import join_texts, lower, lower_rune, upper_rune
from gotemplate.run import Run
from gotemplate.values import SPACE, from_bytes, to_bytes

_WORDS = re.compile(f"[^{SPACE}]+")
_CONNECTORS = "_-" + SPACE
_WORDS_AND_GAPS = re.compile(f"([{SPACE}_-]+)")
_PARTS = re.compile(
    r"(?P<word>(?:D+L+)+D*"  # a number with a unit: 20x, 2m3s
    r"|U+(?!L)(?:D+(?![LD]))?"  # an acronym, up to the capital of the next word
    r"|U?L+(?:D+(?![LD]))?"
    r"|D+)|(?P<symbols>O+(?:D+(?![LD]))?)|(?P<gap>[CS])|P[PC]*"  # a connector right after punctuation is punctuation
)
"""Matches the words of a text in which each character is replaced by its kind. See _character_kind."""
_KINDS = {"Lu": "U", "Ll": "L", "Nd": "D"}


def title(text: str) -> str:
    """Capitalizes each word. A word consists of letters, digits and underscores."""
    before = [" ", *text]
    return "".join([_title_rune(now) if _separates(last) else now for last, now in zip(before, text, strict=False)])


def _title_rune(character: str) -> str:
    changed = character.title()
    return changed if len(changed) == 1 else character


def _separates(character: str) -> bool:
    if character.isascii():
        return not (character.isalnum() or character == "_")
    return character in SPACE


def untitle(text: str) -> str:
    return _WORDS.sub(lambda match: lower_rune(match[0][0]) + match[0][1:], text)


def swapcase(text: str) -> str:
    return "".join([lower_rune(c) if c != lower_rune(c) else upper_rune(c) for c in text])


def initials(text: str) -> str:
    """Returns the first byte of each word as a character. As in Sprig, each byte counts as a character, also in the search for words."""
    return "".join([word[0] for word in _WORDS.findall(to_bytes(text).decode("latin-1"))])


def abbrev(width: int, text: str) -> str:
    return abbrevboth(0, width, text) if width >= 4 else text


def abbrevboth(left: int, right: int, text: str) -> str:
    """Returns at most `right` bytes, from the offset `left`, with `...` in place of omitted text."""
    data = to_bytes(text)
    if right < 4 or (left > 0 and right < 7) or len(data) <= right:
        return text
    left = max(0, min(left, len(data)))
    if len(data) - left < right - 3:
        left = len(data) - (right - 3)
    if left <= 4:
        return from_bytes(data[: right - 3]) + "..."
    if right < 7:
        return text
    if left + right - 3 < len(data):
        return "..." + abbrev(right - 3, from_bytes(data[left:]))
    return "..." + from_bytes(data[len(data) - (right - 3) :])


def wrap(run: Run, width: int, text: str) -> str:
    """Breaks lines at spaces so that they have at most `width` characters. Longer words are not cut."""
    return join_texts(run, "\n", list(_wrap_lines(text, max(1, width), cuts_words=False)))


def wrap_with(run: Run, width: int, newline: str, text: str) -> str:
    """Breaks lines as `wrap`, with the given line break. Cuts words that are longer than the width."""
    return join_texts(run, newline or "\n", list(_wrap_lines(text, max(1, width), cuts_words=True)))


def _wrap_lines(text: str, width: int, *, cuts_words: bool) -> Iterator[str]:
    start = 0
    while len(text) - start > width:
        if text[start] == " ":
            start += 1
            continue
        end = text.rfind(" ", start, start + width + 1)
        if end < 0 and not cuts_words:
            end = text.find(" ", start + width)
            if end < 0:
                break
        if end < 0:
            yield text[start : start + width]
            start += width
        else:
            yield text[start:end]
            start = end + 1
    yield text[start:]


def snakecase(text: str) -> str:
    return _joined_words(text, "_")


def kebabcase(text: str) -> str:
    return _joined_words(text, "-")


def _joined_words(text: str, connector: str) -> str:
    pieces: list[str] = []
    after_word = False
    for match in _PARTS.finditer("".join(map(_character_kind, text))):
        is_word = bool(match["word"] or match["symbols"])
        part = text[match.start() : match.end()]
        if is_word and after_word:
            pieces.append(connector)
        pieces.append(connector if match["gap"] else part if match["symbols"] else lower(part))
        after_word = is_word
    return "".join(pieces)


def _character_kind(character: str) -> str:
    """Returns C for a connector, S for space, P for punctuation, U or L for a letter by case, D for a digit, O for any other character."""
    if character in "_-":
        return "C"
    if character in SPACE:
        return "S"
    category = unicodedata.category(character)
    return "P" if category.startswith("P") else _KINDS.get(category, "O")


def camelcase(text: str) -> str:
    """Converts `http_server` to HttpServer. Removes the last connector between two words, and no connector at the ends of the text.

    Only the first of several capitals at the start of a word remains. As in Sprig, a text of connectors only gets its last connector twice.
    """
    inner = text.strip(_CONNECTORS)
    if not inner:
        return text + text[-1:]
    start, _, end = text.partition(inner)
    parts = _WORDS_AND_GAPS.split(inner)
    return start + "".join([part[:-1] if at % 2 else _capitalize(part) for at, part in enumerate(parts)]) + end


def _capitalize(word: str) -> str:
    kinds = "".join(map(_character_kind, word))
    capitals = len(kinds) - len(kinds.lstrip("U"))
    return upper_rune(word[0]) + lower(word[1:capitals]) + word[max(1, capitals) :]


FUNCTIONS = function_table({
    "title": title, "untitle": untitle, "swapcase": swapcase, "initials": initials, "abbrev": abbrev,
    "abbrevboth": abbrevboth, "wrap": wrap, "wrapWith": wrap_with, "snakecase": snakecase, "kebabcase": kebabcase,
    "camelcase": camelcase,
})  # fmt: skip
