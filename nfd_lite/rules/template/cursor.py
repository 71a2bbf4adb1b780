"""The parser's place among the tokens, the variables it knows there, and how deep it is nested."""

from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.lexer import Kind, Token, tokens

MAXIMUM_NESTING = 40


class Scope:
    """The variables of one definition, by slot. `$` is slot 0; a slot is never used twice."""

    def __init__(self) -> None:
        self._names = ["$"]
        self._slots = [0]
        self.size = 1
        self.nesting = 1

    def declare(self, name: str) -> int:
        self._names.append(name)
        self._slots.append(self.size)
        self.size += 1
        return self._slots[-1]

    def find(self, name: str) -> int | None:
        for known, slot in zip(reversed(self._names), reversed(self._slots), strict=True):
            if known == name:
                return slot
        return None

    def mark(self) -> int:
        return len(self._names)

    def forget(self, mark: int) -> None:
        del self._names[mark:], self._slots[mark:]


class Cursor:
    """Reads tokens one by one, with as many looked at ahead as asked for."""

    def __init__(self, source: str) -> None:
        self._stream = tokens(source)
        self._ahead: list[Token] = []
        self.line = 1
        self.scope = Scope()
        self.depth = 0
        self.ranges = 0

    def next(self) -> Token:
        token = self._ahead.pop() if self._ahead else next(self._stream)
        self.line = token.line
        return token

    def peek(self) -> Token:
        token = self.next()
        self.back(token)
        return token

    def back(self, token: Token) -> None:
        self._ahead.append(token)

    def next_word(self) -> Token:
        """The next token that is not space."""
        token = self.next()
        return self.next() if token.kind is Kind.SPACE else token

    def peek_word(self) -> Token:
        """The next token that is not space; the space before it is gone."""
        token = self.next_word()
        self.back(token)
        return token

    def enter(self) -> None:
        """Go one level deeper, into a statement or a parenthesis."""
        self.depth += 1
        self.scope.nesting = max(self.scope.nesting, self.depth + 1)
        if self.depth > MAXIMUM_NESTING:
            raise TemplateError(f"more than {MAXIMUM_NESTING} levels of nesting", self.line)

    def leave(self) -> None:
        self.depth -= 1

    def error(self, message: str) -> TemplateError:
        return TemplateError(message, self.line)

    def unexpected(self, token: Token, where: str) -> TemplateError:
        if token.kind is Kind.END:
            return self.error("unexpected EOF")
        return self.error(f'unexpected "{token.text[:40]}" in {where}')
