"""A template as tokens: text, and what stands between `{{` and `}}`. Source: pkg.go.dev/text/template, "Text and spaces"."""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum

from nfd_lite.rules.template.errors import TemplateError

BLANKS = " \t\r\n"


class Kind(Enum):
    TEXT = "text"
    OPEN = "{{"
    CLOSE = "}}"
    SPACE = "space"
    WORD = "identifier"
    FIELD = "field"
    DOT = "."
    VARIABLE = "variable"
    NUMBER = "number"
    CHARACTER = "character constant"
    STRING = "string"
    SIGN = "sign"
    END = "EOF"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    line: int


_OPEN = re.compile(r"\{\{(?:-(?=[ \t\r\n]))?")
_COMMENT = re.compile(r"[ \t\r\n]?/\*")
_CLOSE = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)"
)
_TOKENS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.CLOSE, re.compile(r"(?:[ \t\r\n]+-)?\}\}")),
    (Kind.SPACE, re.compile(r"[ \t\r\n]+")),
    (Kind.STRING, re.compile(r'"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`')),
    (Kind.CHARACTER, re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")),
    (Kind.NUMBER, re.compile(r"(?=[+-]|\.?[0-9])" + _NUMBER.pattern)),
    (Kind.FIELD, re.compile(r"\.\w+")),
    (Kind.DOT, re.compile(r"\.")),
    (Kind.VARIABLE, re.compile(r"\$\w*")),
    (Kind.WORD, re.compile(r"\w+")),
    (Kind.SIGN, re.compile(r":=|[!-~]")),
)
_ENDS_WORD = re.compile(r"[ \t\r\n.,|:()]|\}\}|\Z")
_UNTERMINATED = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}
_WORDS = frozenset([Kind.FIELD, Kind.DOT, Kind.VARIABLE, Kind.WORD])


def tokens(source: str) -> Iterator[Token]:
    """The tokens of a template, ending with END. Comments are left out, and trimmed blanks too."""
    return _Lexer(source).tokens()


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1

    def tokens(self) -> Iterator[Token]:
        trims: bool | None = False
        while (match := _OPEN.search(self._source, self._at)) is not None:
            text = self._source[self._at : match.start()]
            yield from self._text(text, start=bool(trims), end=match[0].endswith("-"))
            self._advance(match.end())
            trims = self._comment()
            if trims is None:
                yield Token(Kind.OPEN, "{{", self._line)
                trims = yield from self._action()
        yield from self._text(self._source[self._at :], start=bool(trims), end=False)
        yield Token(Kind.END, "", self._line + self._source.count("\n", self._at))

    def _text(self, text: str, *, start: bool, end: bool) -> Iterator[Token]:
        kept = text.lstrip(BLANKS) if start else text
        line = self._line + text[: len(text) - len(kept)].count("\n")
        kept = kept.rstrip(BLANKS) if end else kept
        if kept:
            yield Token(Kind.TEXT, kept, line)

    def _advance(self, to: int) -> str:
        text = self._source[self._at : to]
        self._line += text.count("\n")
        self._at = to
        return text

    def _comment(self) -> bool | None:
        """Skip a comment; whether the blanks after it are trimmed, or None if there is no comment."""
        match = _COMMENT.match(self._source, self._at)
        trimmed = self._source[self._at - 1] == "-"
        if match is None or trimmed != (match[0][0] in BLANKS):
            return None
        end = self._source.find("*/", match.end())
        if end < 0:
            raise TemplateError("unclosed comment", self._line)
        close = _CLOSE.match(self._source, end + 2)
        if close is None:
            raise TemplateError("comment ends before closing delimiter", self._line)
        self._advance(close.end())
        return close[0] != "}}"

    def _action(self) -> Generator[Token, None, bool]:
        """The tokens of one action; it returns whether the blanks after it are trimmed."""
        if self._source[self._at - 1] == "-":
            self._advance(self._at + 1)
        started = self._line
        while self._at < len(self._source):
            token = self._token(started)
            yield token
            if token.kind is Kind.CLOSE:
                return token.text != "}}"
        raise TemplateError("unclosed action", started)

    def _token(self, started: int) -> Token:
        line = self._line
        for kind, pattern in _TOKENS:
            match = pattern.match(self._source, self._at)
            if match is not None:
                self._check(kind, match)
                return Token(kind, self._advance(match.end()), line)
        character = self._source[self._at]
        raise TemplateError(f"unrecognized character in action: U+{ord(character):04X}", started)

    def _check(self, kind: Kind, match: re.Match[str]) -> None:
        if kind is Kind.NUMBER:
            self._check_number(match)
        elif kind in _WORDS and (_ENDS_WORD.match(self._source, match.end()) is None or not _is_word(match[0])):
            following = self._source[match.end() :][:1] or match[0]
            raise TemplateError(f"bad character U+{ord(following):04X}", self._line)
        elif kind is Kind.SIGN and match[0] in _UNTERMINATED:
            raise TemplateError(_UNTERMINATED[match[0]], self._line)

    def _check_number(self, match: re.Match[str]) -> None:
        following = self._source[match.end() :][:1]
        if following == "i":
            raise TemplateError(f'imaginary constants such as "{match[0]}i" are not supported', self._line)
        if following in {"_", "+", "-"} or following.isalnum():
            raise TemplateError(f'bad number syntax: "{match[0]}{following}"', self._line)


def _is_word(text: str) -> bool:
    return text.isascii() or all(c in "_.$" or c.isalpha() or c.isdecimal() for c in text)
