"""Sprig's string functions. Source: masterminds.github.io/sprig/strings.html and string_slice.html."""

from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.printf import format_value
from gotemplate.run import Run
from gotemplate.text import quoted
from gotemplate.values import SPACE, StringMap, from_bytes, to_bytes


def join_texts(run: Run, separator: str, texts: list[str]) -> str:
    """Joins the texts. Raises TemplateError if the result is larger than the limit."""
    run.reserve(sum(map(len, texts)) + len(separator) * max(0, len(texts) - 1))
    return separator.join(texts)


def texts_of(run: Run, value: Any) -> list[str]:
    """Returns the elements of a list as texts, without nil. Any other value is a list of one element. This is Sprig's strslice."""
    items = value if isinstance(value, list) else [value]
    return [format_value(run, item) for item in items if item is not None]


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
    """Converts one character to one character as Go: ß is not changed."""
    changed = character.upper()
    return changed if len(changed) == 1 else character


def lower_rune(character: str) -> str:
    return character.lower()[0]


def trunc(length: int, text: str) -> str:
    """Returns the first `length` bytes; for a negative length, the last bytes."""
    data = to_bytes(text)
    if length < 0:
        return from_bytes(data[length:]) if -length < len(data) else text
    return from_bytes(data[:length])


def substr(start: int, end: int, text: str) -> str:
    data = to_bytes(text)
    if start < 0:
        start = 0
    elif end < 0 or end > len(data):
        end = len(data)
    if not start <= end <= len(data):
        raise TemplateError(f"slice bounds out of range: {start} to {end} of {len(data)} bytes")
    return from_bytes(data[start:end])


def repeat(run: Run, count: int, text: str) -> str:
    if count < 0:
        raise TemplateError("strings: negative Repeat count")
    run.reserve(count * len(text))
    return text * count


def nospace(text: str) -> str:
    """Removes white space. As in Sprig, each byte counts as a character if the text contains white space: `é x` becomes `Ã©x`."""
    characters = to_bytes(text).decode("latin-1")
    left = characters.translate(dict.fromkeys(map(ord, SPACE)))
    return left if len(left) < len(characters) else text


def contains(part: str, text: str) -> bool:
    return part in text


def has_prefix(prefix: str, text: str) -> bool:
    return text.startswith(prefix)


def has_suffix(suffix: str, text: str) -> bool:
    return text.endswith(suffix)


def quote(run: Run, *values: Any) -> str:
    return " ".join([quoted(format_value(run, value)) for value in values if value is not None])


def squote(run: Run, *values: Any) -> str:
    return " ".join([f"'{format_value(run, value)}'" for value in values if value is not None])


def cat(run: Run, *values: Any) -> str:
    return " ".join([format_value(run, value) for value in values if value is not None])


def indent(run: Run, spaces: int, text: str) -> str:
    """Indents each line by that many spaces."""
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


def split(separator: str, text: str) -> StringMap:
    """Returns the parts with the keys `_0`, `_1` and so on."""
    return _numbered(split_list(separator, text))


def splitn(separator: str, count: int, text: str) -> StringMap:
    """Returns at most `count` parts as `split`; for a negative count, all parts."""
    if count == 0:
        return StringMap()
    if count < 0:
        return split(separator, text)
    if separator:
        return _numbered(text.split(separator, count - 1))
    return _numbered([*text[: count - 1], *filter(None, [text[count - 1 :]])])


def _numbered(parts: list[str]) -> StringMap:
    return StringMap({f"_{position}": part for position, part in enumerate(parts)})


def join(run: Run, separator: str, items: Any) -> str:
    return join_texts(run, separator, texts_of(run, items))


def sort_alpha(run: Run, items: Any) -> list[str]:
    return ["<nil>"] if items is None else sorted(texts_of(run, items))


FUNCTIONS = function_table({
    "hello": hello, "trim": trim, "trimAll trimall": trim_all, "trimSuffix": trim_suffix, "trimPrefix": trim_prefix,
    "upper": upper, "lower": lower, "trunc": trunc, "substr": substr, "repeat": repeat, "nospace": nospace,
    "contains": contains, "hasPrefix": has_prefix, "hasSuffix": has_suffix, "quote": quote, "squote": squote,
    "cat": cat, "indent": indent, "nindent": nindent, "replace": replace, "plural": plural, "split": split,
    "splitList": split_list, "splitn": splitn, "join": join, "sortAlpha": sort_alpha, "toStrings": texts_of,
})  # fmt: skip
