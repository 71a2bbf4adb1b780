"""Parses a template into statements. Source: pkg.go.dev/text/template."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nfd_lite.rules.template.cursor import Cursor, Scope
from nfd_lite.rules.template.errors import TemplateError
from nfd_lite.rules.template.expressions import KEYWORDS, parse_pipe, parse_range_pipe
from nfd_lite.rules.template.lexer import Kind, Token
from nfd_lite.rules.template.literals import parse_string
from nfd_lite.rules.template.nodes import Pipe
from nfd_lite.rules.template.statements import (
    Action,
    Body,
    Branches,
    CallTemplate,
    Definition,
    Jump,
    Leap,
    Range,
    Statement,
    Text,
)

MAXIMUM_SOURCE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    main: Definition
    templates: Mapping[str, Definition]


def parse_program(source: str) -> Program:
    """Raises TemplateError with the line of what cannot be parsed."""
    if len(source.encode("utf-8", "surrogatepass")) > MAXIMUM_SOURCE:
        raise TemplateError(f"the template is longer than {MAXIMUM_SOURCE} bytes")
    return _Parser(Cursor(source)).program()


class _Parser:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._templates: dict[str, Definition] = {}

    def program(self) -> Program:
        statements, end = self._body(top=True)
        if end is not None:
            raise self._cursor.error(f"unexpected {{{{{end}}}}}")
        return Program(main=self._definition(statements), templates=self._templates)

    def _definition(self, body: Body) -> Definition:
        return Definition(body, self._cursor.scope.size, self._cursor.scope.nesting)

    def _body(self, *, top: bool = False) -> tuple[Body, str | None]:
        """The statements up to `{{else` or `{{end}}` or the end of the source, and which of them it was."""
        statements: list[Statement] = []
        while (token := self._cursor.next()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                statements.append(Text(token.text, token.line))
                continue
            keyword = self._keyword()
            if keyword in {"else", "end"}:
                return tuple(statements), keyword
            if keyword == "define" and top:
                self._define()
            else:
                statements.append(self._statement(keyword, self._cursor.line))
        return tuple(statements), None

    def _keyword(self) -> str | None:
        token = self._cursor.next_word()
        if token.kind is Kind.WORD and token.text in KEYWORDS:
            return token.text
        self._cursor.back(token)
        return None

    def _statement(self, keyword: str | None, line: int) -> Statement:
        if keyword is None:
            return Action(parse_pipe(self._cursor, "command"), line)
        parse = self._STATEMENTS.get(keyword)
        if parse is None:
            raise self._cursor.error(f"unexpected <{keyword}> in command")
        return parse(self, keyword, line)

    def _close(self, where: str) -> None:
        token = self._cursor.next_word()
        if token.kind is not Kind.CLOSE:
            raise self._cursor.unexpected(token, where)

    def _inner(self) -> tuple[Body, str]:
        """A body that must be closed; with what its last action starts."""
        mark = self._cursor.scope.mark()
        body, end = self._body()
        self._cursor.scope.forget(mark)
        if end is None:
            raise self._cursor.error("unexpected EOF")
        return body, end

    def _ended(self, where: str = "end") -> Body:
        """A body that `{{end}}` must close."""
        body, end = self._inner()
        if end != "end":
            raise self._cursor.error("expected end; found {{else}}")
        self._close(where)
        return body

    def _branches(self, keyword: str, line: int) -> Statement:
        self._cursor.enter()
        mark = self._cursor.scope.mark()
        branches: list[tuple[Pipe, Body]] = []
        otherwise: Body = ()
        more = True
        while more:
            pipe = parse_pipe(self._cursor, keyword)
            body, end = self._inner()
            branches.append((pipe, body))
            more = end == "else" and self._else_again(keyword)
            if not more and end == "else":
                otherwise = self._ended()
            elif not more:
                self._close("end")
        self._cursor.scope.forget(mark)
        self._cursor.leave()
        return Branches(tuple(branches), otherwise, keyword == "with", line)

    def _else_again(self, keyword: str) -> bool:
        """Whether `{{else` goes on with the same keyword; a plain `{{else}}` is read to its end."""
        token = self._cursor.next_word()
        if token.kind is Kind.WORD and token.text == keyword:
            return True
        if token.kind is not Kind.CLOSE:
            raise self._cursor.unexpected(token, "else")
        return False

    def _range(self, _: str, line: int) -> Statement:
        self._cursor.enter()
        mark = self._cursor.scope.mark()
        declared = parse_range_pipe(self._cursor)
        self._cursor.ranges += 1
        body, end = self._inner()
        self._cursor.ranges -= 1
        otherwise: Body = ()
        self._close(end)
        if end == "else":
            otherwise = self._ended()
        self._cursor.scope.forget(mark)
        self._cursor.leave()
        *key, element = declared.slots or (None,)
        return Range(declared.pipe, key[0] if key else None, element, body, otherwise, line)

    def _leap(self, keyword: str, line: int) -> Statement:
        self._close(f"{{{{{keyword}}}}}")
        if not self._cursor.ranges:
            raise self._cursor.error(f"{{{{{keyword}}}}} outside {{{{range}}}}")
        return Leap(Jump(keyword), line)

    def _call(self, _: str, line: int) -> Statement:
        name = self._name("template clause")
        if self._cursor.peek_word().kind is Kind.CLOSE:
            self._cursor.next()
            return CallTemplate(name, None, line)
        return CallTemplate(name, parse_pipe(self._cursor, "template clause"), line)

    def _block(self, _: str, line: int) -> Statement:
        name = self._name("block clause")
        pipe = parse_pipe(self._cursor, "block clause")
        self._defined(name)
        return CallTemplate(name, pipe, line)

    def _define(self) -> None:
        name = self._name("define clause")
        self._close("define clause")
        self._defined(name)

    def _defined(self, name: str) -> None:
        """Read a definition's body, with variables and loops of its own."""
        cursor = self._cursor
        cursor.enter()
        outer = cursor.scope, cursor.ranges, cursor.depth
        cursor.scope, cursor.ranges = Scope(), 0
        definition = self._definition(self._ended())
        cursor.scope, cursor.ranges, cursor.depth = outer
        cursor.leave()
        self._add(name, definition)

    def _add(self, name: str, definition: Definition) -> None:
        """As Go, an empty definition never replaces another, and of two that say something the second is an error."""
        if not (_is_empty(definition) and name in self._templates):
            if name in self._templates and not _is_empty(self._templates[name]):
                raise self._cursor.error(f'multiple definition of template "{name}"')
            self._templates[name] = definition

    def _name(self, where: str) -> str:
        token = self._cursor.next_word()
        if token.kind is not Kind.STRING:
            raise self._cursor.unexpected(token, where)
        return _string(token)

    _STATEMENTS: Mapping[str, Callable[["_Parser", str, int], Statement]] = {
        "if": _branches,
        "with": _branches,
        "range": _range,
        "break": _leap,
        "continue": _leap,
        "template": _call,
        "block": _block,
    }


def _string(token: Token) -> str:
    try:
        return parse_string(token.text)
    except TemplateError as error:
        error.blame(token.line)
        raise


def _is_empty(definition: Definition) -> bool:
    return all(isinstance(statement, Text) and not statement.text.strip() for statement in definition.body)
