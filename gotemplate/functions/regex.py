"""Sprig's regular expressions, evaluated by RE2. Source: masterminds.github.io/sprig/regex.html, pkg.go.dev/regexp."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.run import Run
from gotemplate.values import NilList, from_bytes, repair_text, to_bytes

if TYPE_CHECKING:
    import re2

_STEPS_TO_COMPILE = 200
_BYTES_PER_STEP = 1024
_MEMORY = 1 << 20
_CONTINUATIONS = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def _compile(run: Run, regex: str) -> "re2._Regexp":
    """Compiles a pattern once in each run. Imports re2 at the first call."""
    if regex not in run.patterns:
        import re2  # noqa: PLC0415

        run.spend(_STEPS_TO_COMPILE)
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        try:
            run.patterns[regex] = re2.compile(repair_text(regex).encode(), options)
        except re2.error as error:
            problem = error.args[0]
            reason = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else problem
            raise TemplateError(f"error parsing regexp {regex[:60]!r}: {reason}") from None
    return run.patterns[regex]


def _matches(run: Run, regex: str, data: bytes) -> "Iterator[re2._Match]":
    """Yields matches as Go's FindAll: no empty match directly after another match, and no empty match inside a character."""
    end = -1
    for match in _compile(run, regex).finditer(data):
        run.spend(1 + (len(data) - match.start()) // _BYTES_PER_STEP)
        start = match.start()
        if match.end() > start or (start != end and data[start : start + 1] not in _CONTINUATIONS):
            yield match
        end = match.end()


def must_match(run: Run, regex: str, text: str) -> bool:
    return _compile(run, regex).search(to_bytes(text)) is not None


def is_match(run: Run, regex: str, text: str) -> bool:
    """Returns whether the text contains a match; false for an expression that is not valid."""
    try:
        pattern = _compile(run, regex)
    except TemplateError:
        run.spend()
        return False
    return pattern.search(to_bytes(text)) is not None


def find(run: Run, regex: str, text: str) -> str:
    match = _compile(run, regex).search(to_bytes(text))
    return "" if match is None else from_bytes(match.group())


def find_all(run: Run, regex: str, text: str, count: int) -> list[str]:
    """Returns at most `count` matches; for a negative count, all matches. Returns a nil slice if there are no matches."""
    matches: list[str] = []
    for match in _matches(run, regex, to_bytes(text)):
        if len(matches) == count:
            break
        matches.append(from_bytes(match.group()))
    return matches or NilList()


def replace_all(run: Run, regex: str, text: str, replacement: str) -> str:
    """Replaces all matches. `$1` and `${name}` in the replacement are the texts of the groups."""
    return _replace_matches(run, regex, to_bytes(text), lambda match: to_bytes(_expand(match, replacement)))


def replace_all_literal(run: Run, regex: str, text: str, replacement: str) -> str:
    literal = to_bytes(replacement)
    return _replace_matches(run, regex, to_bytes(text), lambda _: literal)


def _replace_matches(run: Run, regex: str, data: bytes, replacement: Any) -> str:
    return run.join_pieces(map(from_bytes, _replace_pieces(run, regex, data, replacement)))


def _replace_pieces(run: Run, regex: str, data: bytes, replacement: Any) -> Iterator[bytes]:
    end = 0
    for match in _matches(run, regex, data):
        yield data[end : match.start()]
        yield replacement(match)
        end = match.end()
    yield data[end:]


def _expand(match: "re2._Match", template: str) -> str:
    return _REFERENCE.sub(lambda reference: _group(match, reference), template)


def _group(match: "re2._Match", reference: re.Match[str]) -> str:
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    number = int(name) if re.fullmatch("[0-9]{1,3}", name) else match.re.groupindex.get(to_bytes(name), -1)
    return from_bytes(match.group(number) or b"") if 0 <= number <= match.re.groups else ""


def split(run: Run, regex: str, text: str, count: int) -> list[str]:
    """Returns the texts between the matches, at most `count`; for a negative count, all texts; for 0, a nil slice."""
    if count == 0:
        return NilList()
    if not text and not regex:
        return []
    return [from_bytes(part) for part in _parts(run, regex, to_bytes(text), count)] if text else [""]


def _parts(run: Run, regex: str, data: bytes, count: int) -> Iterator[bytes]:
    start = end = part_count = 0
    for match in _matches(run, regex, data):
        if part_count == count - 1:
            break
        end = match.start()
        if match.end() != 0:
            yield data[start:end]
            part_count += 1
        start = match.end()
    if end != len(data):
        yield data[start:]


def quote_meta(text: str) -> str:
    return _SPECIAL.sub(lambda special: "\\" + special[0], text)


FUNCTIONS = function_table({
    "regexMatch": is_match, "mustRegexMatch": must_match, "regexFind mustRegexFind": find,
    "regexFindAll mustRegexFindAll": find_all, "regexReplaceAll mustRegexReplaceAll": replace_all,
    "regexReplaceAllLiteral mustRegexReplaceAllLiteral": replace_all_literal, "regexSplit mustRegexSplit": split,
    "regexQuoteMeta": quote_meta,
})  # fmt: skip
