"""Splits a template into tokens: text, and the contents of `{{ }}`. Source: pkg.go.dev/text/template, "Text and spaces"."""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum

from gotemplate.errors import TemplateError

WHITE_SPACE = " \t\r\n"


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
_AFTER_WORD = re.compile(r"[ \t\r\n.,|:()]|\}\}|\Z")
_UNTERMINATED = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}
_WORDS = frozenset([Kind.FIELD, Kind.DOT, Kind.VARIABLE, Kind.WORD])


def tokenize(source: str) -> Iterator[Token]:
    """Yields the tokens of a template; the last one is END. Comments and trimmed white space are not tokens."""
    return _Lexer(source).tokenize()


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._position = 0
        self._line = 1

    def tokenize(self) -> Iterator[Token]:
        trims_start: bool | None = False
        while (match := _OPEN.search(self._source, self._position)) is not None:
            text = self._source[self._position : match.start()]
            yield from self._text_token(text, start=bool(trims_start), end=match[0].endswith("-"))
            self._advance(match.end())
            trims_start = self._skip_comment()
            if trims_start is None:
                yield Token(Kind.OPEN, "{{", self._line)
                trims_start = yield from self._action_tokens()
        yield from self._text_token(self._source[self._position :], start=bool(trims_start), end=False)
        yield Token(Kind.END, "", self._line + self._source.count("\n", self._position))

    def _text_token(self, text: str, *, start: bool, end: bool) -> Iterator[Token]:
        trimmed = text.lstrip(WHITE_SPACE) if start else text
        line = self._line + text[: len(text) - len(trimmed)].count("\n")
        trimmed = trimmed.rstrip(WHITE_SPACE) if end else trimmed
        if trimmed:
            yield Token(Kind.TEXT, trimmed, line)

    def _advance(self, to: int) -> str:
        text = self._source[self._position : to]
        self._line += text.count("\n")
        self._position = to
        return text

    def _skip_comment(self) -> bool | None:
        """Skips a comment. Returns whether white space after the comment is trimmed, or None if this action is not a comment."""
        match = _COMMENT.match(self._source, self._position)
        starts_trimmed = self._source[self._position - 1] == "-"
        if match is None or starts_trimmed != (match[0][0] in WHITE_SPACE):
            return None
        end = self._source.find("*/", match.end())
        if end < 0:
            raise TemplateError("unclosed comment", self._line)
        close = _CLOSE.match(self._source, end + 2)
        if close is None:
            raise TemplateError("comment ends before closing delimiter", self._line)
        self._advance(close.end())
        return close[0] != "}}"

    def _action_tokens(self) -> Generator[Token, None, bool]:
        """Yields the tokens of one action. Returns whether white space after the action is trimmed."""
        if self._source[self._position - 1] == "-":
            self._advance(self._position + 1)
        action_line = self._line
        while self._position < len(self._source):
            token = self._next_token(action_line)
            yield token
            if token.kind is Kind.CLOSE:
                return token.text != "}}"
        raise TemplateError("unclosed action", action_line)

    def _next_token(self, action_line: int) -> Token:
        line = self._line
        for kind, pattern in _TOKENS:
            match = pattern.match(self._source, self._position)
            if match is not None:
                self._check(kind, match)
                return Token(kind, self._advance(match.end()), line)
        character = self._source[self._position]
        raise TemplateError(f"unrecognized character in action: U+{ord(character):04X}", action_line)

    def _check(self, kind: Kind, match: re.Match[str]) -> None:
        if kind is Kind.NUMBER:
            self._check_number(match)
        elif kind in _WORDS and (_AFTER_WORD.match(self._source, match.end()) is None or not _is_word(match[0])):
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
