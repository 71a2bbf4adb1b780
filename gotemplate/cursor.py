"""The position of the parser in the tokens, with the variables in scope and the nesting depth."""

from gotemplate.errors import TemplateError
from gotemplate.lexer import Kind, Token, tokenize

MAXIMUM_NESTING = 40


class Scope:
    """The variables of one definition by slot. `$` is slot 0. A slot belongs to one variable only."""

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

    def drop(self, mark: int) -> None:
        del self._names[mark:], self._slots[mark:]


class Cursor:
    """Reads tokens one by one. `unread` puts tokens back. ranges: how many `range` statements enclose the position."""

    def __init__(self, source: str) -> None:
        self._stream = tokenize(source)
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
        self.unread(token)
        return token

    def unread(self, token: Token) -> None:
        self._ahead.append(token)

    def next_word(self) -> Token:
        """Returns the next token that is not white space."""
        token = self.next()
        return self.next() if token.kind is Kind.SPACE else token

    def peek_word(self) -> Token:
        """Returns the next token that is not white space, and leaves the cursor before that token. Skips the white space."""
        token = self.next_word()
        self.unread(token)
        return token

    def enter(self) -> None:
        """Enters a statement or a parenthesis. Raises TemplateError if the nesting is too deep."""
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
