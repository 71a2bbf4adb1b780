"""Sprig's functions on words: letter case, abbreviations, line wrapping."""

import re
from collections.abc import Iterator

from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.functions.strings import join_texts, lower, lower_rune, upper_rune
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.values import SPACE, from_raw, raw

_WORDS = re.compile(f"[^{SPACE}]+")
_PARTS = re.compile(
    r"(?P<word>(?:[0-9]+[^\W\d_A-Z]+)+[0-9]*"  # a number with its unit: 20x, 2m3s
    r"|[A-Z]+(?![^\W\d_A-Z])(?:[0-9]+(?![^\W_A-Z]))?"  # an acronym, up to the capital of the next word
    r"|[A-Z]?[^\W\d_A-Z]+(?:[0-9]+(?![^\W_A-Z]))?"
    r"|[0-9]+)|(?P<gap>[ _\-])|(?P<other>.)",
    re.DOTALL,
)


def title(text: str) -> str:
    """Every word with a capital; a word goes on over letters, digits and underscores."""
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
    return "".join([word[0] for word in _WORDS.findall(text)])


def abbrev(width: int, text: str) -> str:
    return abbrevboth(0, width, text) if width >= 4 else text


def abbrevboth(left: int, right: int, text: str) -> str:
    """At most `right` bytes, with `...` for what is left out, from offset `left` on."""
    data = raw(text)
    if right < 4 or (left > 0 and right < 7) or len(data) <= right:
        return text
    left = max(0, min(left, len(data)))
    if len(data) - left < right - 3:
        left = len(data) - (right - 3)
    if left <= 4:
        return from_raw(data[: right - 3]) + "..."
    if right < 7:
        return text
    if left + right - 3 < len(data):
        return "..." + abbrev(right - 3, from_raw(data[left:]))
    return "..." + from_raw(data[len(data) - (right - 3) :])


def wrap(run: Run, width: int, text: str) -> str:
    """Lines of at most that width where there is a space to break at."""
    return join_texts(run, "\n", list(_lines(text, max(1, width), cuts_words=False)))


def wrap_with(run: Run, width: int, newline: str, text: str) -> str:
    """As wrap, with a line break of one's own; words longer than the width are cut."""
    return join_texts(run, newline or "\n", list(_lines(text, max(1, width), cuts_words=True)))


def _lines(text: str, width: int, *, cuts_words: bool) -> Iterator[str]:
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
    for match in _PARTS.finditer(text):
        if match["word"] and after_word:
            pieces.append(connector)
        pieces.append(connector if match["gap"] else lower(match[0]))
        after_word = bool(match["word"])
    return "".join(pieces)


def camelcase(text: str) -> str:
    """`http_server` is HttpServer. Of several connectors between two words all but one stay, and those at both ends."""
    inner = text.strip("_- ")
    start, _, end = text.partition(inner) if inner else (text, "", "")
    gaps = ["", *[gap[1:] for gap in re.findall(r"[ _\-]+", inner)]]
    words = re.split(r"[ _\-]+", inner)
    return start + "".join([gap + _capitalized(word) for gap, word in zip(gaps, words, strict=True)]) + end


def _capitalized(word: str) -> str:
    rest = lower(word[1:]) if word.isupper() else word[1:]
    return upper_rune(word[0]) + rest if word else ""


FUNCTIONS = table(
    {
        "title": title,
        "untitle": untitle,
        "swapcase": swapcase,
        "initials": initials,
        "abbrev": abbrev,
        "abbrevboth": abbrevboth,
        "wrap": wrap,
        "wrapWith": wrap_with,
        "snakecase": snakecase,
        "kebabcase": kebabcase,
        "camelcase": camelcase,
    }
)
