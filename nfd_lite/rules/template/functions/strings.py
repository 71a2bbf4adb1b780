"""Sprig's string functions. Source: masterminds.github.io/sprig/strings.html and string_slice.html."""

from typing import Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.text import quoted, show
from nfd_lite.rules.template.values import SPACE, Strings, from_raw, raw


def join_texts(run: Run, separator: str, texts: list[str]) -> str:
    """The texts in one, if there is room for it."""
    run.reserve(sum(map(len, texts)) + len(separator) * max(0, len(texts) - 1))
    return separator.join(texts)


def texts_of(run: Run, value: Any) -> list[str]:
    """Sprig's strslice: what a list holds, but nil, as texts; a text for anything else."""
    items = value if isinstance(value, list) else [value]
    return [show(run, item) for item in items if item is not None]


def hello() -> str:
    return "Hello!"


def trim(text: str) -> str:
    return text.strip(SPACE)


def trim_all(characters: str, text: str) -> str:
    return text.strip(characters) if characters else text


def trim_suffix(suffix: str, text: str) -> str:
    return text.removesuffix(suffix)


def trim_prefix(prefix: str, text: str) -> str:
    return text.removeprefix(prefix)


def upper(text: str) -> str:
    return text.upper() if text.isascii() else "".join(map(upper_rune, text))


def lower(text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(lower_rune, text))


def upper_rune(character: str) -> str:
    """Go maps one character to one: ß stays ß."""
    changed = character.upper()
    return changed if len(changed) == 1 else character


def lower_rune(character: str) -> str:
    return character.lower()[0]


def trunc(length: int, text: str) -> str:
    """The first bytes, or the last ones for a negative length."""
    data = raw(text)
    if length < 0:
        return from_raw(data[length:]) if -length < len(data) else text
    return from_raw(data[:length])


def substr(start: int, end: int, text: str) -> str:
    data = raw(text)
    if start < 0:
        start = 0
    elif end < 0 or end > len(data):
        end = len(data)
    if not start <= end <= len(data):
        raise TemplateError(f"slice bounds out of range: {start} to {end} of {len(data)} bytes")
    return from_raw(data[start:end])


def repeat(run: Run, count: int, text: str) -> str:
    if count < 0:
        raise TemplateError("strings: negative Repeat count")
    run.reserve(count * len(text))
    return text * count


def nospace(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, SPACE)))


def contains(part: str, text: str) -> bool:
    return part in text


def has_prefix(prefix: str, text: str) -> bool:
    return text.startswith(prefix)


def has_suffix(suffix: str, text: str) -> bool:
    return text.endswith(suffix)


def quote(run: Run, *values: Any) -> str:
    return " ".join([quoted(show(run, value)) for value in values if value is not None])


def squote(run: Run, *values: Any) -> str:
    return " ".join([f"'{show(run, value)}'" for value in values if value is not None])


def cat(run: Run, *values: Any) -> str:
    return " ".join([show(run, value) for value in values if value is not None])


def indent(run: Run, spaces: int, text: str) -> str:
    """Every line that many spaces further in."""
    pad = repeat(run, spaces, " ")
    return pad + replace(run, "\n", "\n" + pad, text)


def nindent(run: Run, spaces: int, text: str) -> str:
    return "\n" + indent(run, spaces, text)


def replace(run: Run, old: str, new: str, text: str) -> str:
    run.reserve(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def split_list(separator: str, text: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def split(separator: str, text: str) -> Strings:
    """The parts under `_0`, `_1` and so on."""
    return _numbered(split_list(separator, text))


def splitn(separator: str, count: int, text: str) -> Strings:
    """At most so many parts; all of them for a negative count."""
    if count == 0:
        return Strings()
    if count < 0:
        return split(separator, text)
    if separator:
        return _numbered(text.split(separator, count - 1))
    return _numbered([*text[: count - 1], *filter(None, [text[count - 1 :]])])


def _numbered(parts: list[str]) -> Strings:
    return Strings({f"_{position}": part for position, part in enumerate(parts)})


def join(run: Run, separator: str, items: Any) -> str:
    return join_texts(run, separator, texts_of(run, items))


def sort_alpha(run: Run, items: Any) -> list[str]:
    return sorted(texts_of(run, items))


FUNCTIONS = table(
    {
        "hello": hello,
        "trim": trim,
        "trimAll": trim_all,
        "trimall": trim_all,
        "trimSuffix": trim_suffix,
        "trimPrefix": trim_prefix,
        "upper": upper,
        "lower": lower,
        "trunc": trunc,
        "substr": substr,
        "repeat": repeat,
        "nospace": nospace,
        "contains": contains,
        "hasPrefix": has_prefix,
        "hasSuffix": has_suffix,
        "quote": quote,
        "squote": squote,
        "cat": cat,
        "indent": indent,
        "nindent": nindent,
        "replace": replace,
        "plural": plural,
        "split": split,
        "splitList": split_list,
        "splitn": splitn,
        "join": join,
        "sortAlpha": sort_alpha,
        "toStrings": texts_of,
    }
)
