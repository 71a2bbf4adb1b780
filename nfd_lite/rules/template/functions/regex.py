"""Sprig's regular expressions, in RE2's syntax and time. Source: masterminds.github.io/sprig/regex.html, pkg.go.dev/regexp."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.function import table
from nfd_lite.rules.template.run import Run
from nfd_lite.rules.template.values import from_raw, raw, whole

if TYPE_CHECKING:
    import re2

_COMPILING = 200
_SEARCHED = 1024
_MEMORY = 1 << 20
_CONTINUATIONS = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def _compiled(run: Run, regex: str) -> "re2._Regexp":
    """The pattern, compiled once a run. re2 is imported when the first rule needs it."""
    if regex not in run.patterns:
        import re2  # noqa: PLC0415

        run.spend(_COMPILING)
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        try:
            run.patterns[regex] = re2.compile(whole(regex).encode(), options)
        except re2.error as error:
            problem = error.args[0]
            reason = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else problem
            raise TemplateError(f"error parsing regexp {regex[:60]!r}: {reason}") from None
    return run.patterns[regex]


def _matches(run: Run, regex: str, data: bytes) -> "Iterator[re2._Match]":
    """As Go's FindAll: an empty match does not count right after another match, nor in the middle of a character."""
    end = -1
    for match in _compiled(run, regex).finditer(data):
        run.spend(1 + (len(data) - match.start()) // _SEARCHED)
        start = match.start()
        if match.end() > start or (start != end and data[start : start + 1] not in _CONTINUATIONS):
            yield match
        end = match.end()


def must_match(run: Run, regex: str, text: str) -> bool:
    return _compiled(run, regex).search(raw(text)) is not None


def match(run: Run, regex: str, text: str) -> bool:
    """Whether it is anywhere in the text; false for a broken expression, too."""
    try:
        pattern = _compiled(run, regex)
    except TemplateError:
        run.spend()
        return False
    return pattern.search(raw(text)) is not None


def find(run: Run, regex: str, text: str) -> str:
    found = _compiled(run, regex).search(raw(text))
    return "" if found is None else from_raw(found.group())


def find_all(run: Run, regex: str, text: str, count: int) -> list[str]:
    """At most so many matches; all for a negative count."""
    found: list[str] = []
    for one in _matches(run, regex, raw(text)):
        if len(found) == count:
            break
        found.append(from_raw(one.group()))
    return found


def replace_all(run: Run, regex: str, text: str, replacement: str) -> str:
    """With `$1` or `${name}` in the replacement for what the groups hold."""
    return _replaced(run, regex, raw(text), lambda one: raw(_expanded(one, replacement)))


def replace_all_literal(run: Run, regex: str, text: str, replacement: str) -> str:
    literal = raw(replacement)
    return _replaced(run, regex, raw(text), lambda _: literal)


def _replaced(run: Run, regex: str, data: bytes, replacement: Any) -> str:
    return run.gather(map(from_raw, _replaced_pieces(run, regex, data, replacement)))


def _replaced_pieces(run: Run, regex: str, data: bytes, replacement: Any) -> Iterator[bytes]:
    end = 0
    for one in _matches(run, regex, data):
        yield data[end : one.start()]
        yield replacement(one)
        end = one.end()
    yield data[end:]


def _expanded(one: "re2._Match", template: str) -> str:
    return _REFERENCE.sub(lambda reference: _group(one, reference), template)


def _group(one: "re2._Match", reference: re.Match[str]) -> str:
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    number = int(name) if re.fullmatch("[0-9]{1,3}", name) else one.re.groupindex.get(raw(name), -1)
    return from_raw(one.group(number) or b"") if 0 <= number <= one.re.groups else ""


def split(run: Run, regex: str, text: str, count: int) -> list[str]:
    """The text between the matches, in at most so many parts; all for a negative count, none for 0."""
    if count == 0 or (not text and not regex):
        return []
    return [from_raw(part) for part in _parts(run, regex, raw(text), count)] if text else [""]


def _parts(run: Run, regex: str, data: bytes, count: int) -> Iterator[bytes]:
    start = end = made = 0
    for one in _matches(run, regex, data):
        if made == count - 1:
            break
        end = one.start()
        if one.end() != 0:
            yield data[start:end]
            made += 1
        start = one.end()
    if end != len(data):
        yield data[start:]


def quote_meta(text: str) -> str:
    return _SPECIAL.sub(lambda special: "\\" + special[0], text)


FUNCTIONS = table(
    {
        "regexMatch": match,
        "mustRegexMatch": must_match,
        "regexFind": find,
        "mustRegexFind": find,
        "regexFindAll": find_all,
        "mustRegexFindAll": find_all,
        "regexReplaceAll": replace_all,
        "mustRegexReplaceAll": replace_all,
        "regexReplaceAllLiteral": replace_all_literal,
        "mustRegexReplaceAllLiteral": replace_all_literal,
        "regexSplit": split,
        "mustRegexSplit": split,
        "regexQuoteMeta": quote_meta,
    }
)
