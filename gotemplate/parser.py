"""Parses a template into statements. Source: pkg.go.dev/text/template."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gotemplate.cursor import Cursor, Scope
from gotemplate.errors import TemplateError
from gotemplate.expression_parser import KEYWORDS, parse_pipe
from gotemplate.lexer import Kind, Token
from gotemplate.literals import parse_string
from gotemplate.nodes import Pipe
from gotemplate.statements import (
    Action,
    Body,
    CallTemplate,
    Conditional,
    Definition,
    Jump,
    JumpStatement,
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
    """Parses a template. Raises TemplateError with the line of the error."""
    if len(source.encode("utf-8", "surrogatepass")) > MAXIMUM_SOURCE:
        raise TemplateError(f"the template is longer than {MAXIMUM_SOURCE} bytes")
    return _Parser(Cursor(source)).parse()


class _Parser:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._templates: dict[str, Definition] = {}

    def parse(self) -> Program:
        statements, end = self._parse_body(top=True)
        if end is not None:
            raise self._cursor.error(f"unexpected {{{{{end}}}}}")
        return Program(main=self._make_definition(statements), templates=self._templates)

    def _make_definition(self, body: Body) -> Definition:
        return Definition(body, self._cursor.scope.size, self._cursor.scope.nesting)

    def _parse_body(self, *, top: bool = False) -> tuple[Body, str | None]:
        """Parses statements up to `{{else`, `{{end}}` or the end of the source. Returns them with "else", "end" or None."""
        statements: list[Statement] = []
        while (token := self._cursor.next()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                statements.append(Text(token.text, token.line))
                continue
            keyword = self._read_keyword()
            if keyword in {"else", "end"}:
                return tuple(statements), keyword
            if keyword == "define" and top:
                self._parse_define()
            else:
                statements.append(self._parse_statement(keyword, self._cursor.line))
        return tuple(statements), None

    def _read_keyword(self) -> str | None:
        token = self._cursor.next_word()
        if token.kind is Kind.WORD and token.text in KEYWORDS:
            return token.text
        self._cursor.unread(token)
        return None

    def _parse_statement(self, keyword: str | None, line: int) -> Statement:
        if keyword is None:
            return Action(parse_pipe(self._cursor, "command"), line)
        parse = self._STATEMENTS.get(keyword)
        if parse is None:
            raise self._cursor.error(f"unexpected <{keyword}> in command")
        return parse(self, keyword, line)

    def _expect_close(self, where: str) -> None:
        token = self._cursor.next_word()
        if token.kind is not Kind.CLOSE:
            raise self._cursor.unexpected(token, where)

    def _parse_nested_body(self) -> tuple[Body, str]:
        """Parses a body that ends with `{{else` or `{{end}}`. Returns the body with "else" or "end"."""
        mark = self._cursor.scope.mark()
        body, end = self._parse_body()
        self._cursor.scope.drop(mark)
        if end is None:
            raise self._cursor.error("unexpected EOF")
        return body, end

    def _parse_body_to_end(self, where: str = "end") -> Body:
        """Parses a body that ends with `{{end}}`."""
        body, end = self._parse_nested_body()
        if end != "end":
            raise self._cursor.error("expected end; found {{else}}")
        self._expect_close(where)
        return body

    def _parse_conditional(self, keyword: str, line: int) -> Statement:
        self._cursor.enter()
        mark = self._cursor.scope.mark()
        branches: list[tuple[Pipe, Body]] = []
        else_body: Body = ()
        more = True
        while more:
            pipe = parse_pipe(self._cursor, keyword)
            body, end = self._parse_nested_body()
            branches.append((pipe, body))
            more = end == "else" and self._continues_chain(keyword)
            if not more and end == "else":
                else_body = self._parse_body_to_end()
            elif not more:
                self._expect_close("end")
        self._cursor.scope.drop(mark)
        self._cursor.leave()
        return Conditional(tuple(branches), else_body, keyword == "with", line)

    def _continues_chain(self, keyword: str) -> bool:
        """Returns whether `{{else` continues with the same keyword. Reads the rest of a plain `{{else}}`."""
        token = self._cursor.next_word()
        if token.kind is Kind.WORD and token.text == keyword:
            return True
        if token.kind is not Kind.CLOSE:
            raise self._cursor.unexpected(token, "else")
        return False

    def _parse_range(self, _: str, line: int) -> Statement:
        self._cursor.enter()
        mark = self._cursor.scope.mark()
        pipe = parse_pipe(self._cursor, "range", maximum_variables=2)
        self._cursor.ranges += 1
        body, end = self._parse_nested_body()
        self._cursor.ranges -= 1
        else_body: Body = ()
        self._expect_close(end)
        if end == "else":
            else_body = self._parse_body_to_end()
        self._cursor.scope.drop(mark)
        self._cursor.leave()
        *key, element = pipe.slots or (None,)
        loop_pipe = replace(pipe, slots=())  # the loop sets the variables
        return Range(loop_pipe, key[0] if key else None, element, body, else_body, line)

    def _parse_jump(self, keyword: str, line: int) -> Statement:
        self._expect_close(f"{{{{{keyword}}}}}")
        if not self._cursor.ranges:
            raise self._cursor.error(f"{{{{{keyword}}}}} outside {{{{range}}}}")
        return JumpStatement(Jump(keyword), line)

    def _parse_call(self, _: str, line: int) -> Statement:
        name = self._parse_name("template clause")
        if self._cursor.peek_word().kind is Kind.CLOSE:
            self._cursor.next()
            return CallTemplate(name, None, line)
        return CallTemplate(name, parse_pipe(self._cursor, "template clause"), line)

    def _parse_block(self, _: str, line: int) -> Statement:
        name = self._parse_name("block clause")
        pipe = parse_pipe(self._cursor, "block clause")
        self._parse_definition(name)
        return CallTemplate(name, pipe, line)

    def _parse_define(self) -> None:
        name = self._parse_name("define clause")
        self._expect_close("define clause")
        self._parse_definition(name)

    def _parse_definition(self, name: str) -> None:
        """Parses the body of a definition, which has a separate scope for variables and for `break` and `continue`."""
        cursor = self._cursor
        cursor.enter()
        outer = cursor.scope, cursor.ranges, cursor.depth
        cursor.scope, cursor.ranges = Scope(), 0
        definition = self._make_definition(self._parse_body_to_end())
        cursor.scope, cursor.ranges, cursor.depth = outer
        cursor.leave()
        self._add_definition(name, definition)

    def _add_definition(self, name: str, definition: Definition) -> None:
        """As in Go, an empty definition does not replace another definition, and a second definition that is not empty is an error."""
        if not (_is_empty(definition) and name in self._templates):
            if name in self._templates and not _is_empty(self._templates[name]):
                raise self._cursor.error(f'multiple definition of template "{name}"')
            self._templates[name] = definition

    def _parse_name(self, where: str) -> str:
        token = self._cursor.next_word()
        if token.kind is not Kind.STRING:
            raise self._cursor.unexpected(token, where)
        return _parse_string(token)

    _STATEMENTS: Mapping[str, Callable[["_Parser", str, int], Statement]] = {
        "if": _parse_conditional,
        "with": _parse_conditional,
        "range": _parse_range,
        "break": _parse_jump,
        "continue": _parse_jump,
        "template": _parse_call,
        "block": _parse_block,
    }


def _parse_string(token: Token) -> str:
    try:
        return parse_string(token.text)
    except TemplateError as error:
        error.set_line(token.line)
        raise


def _is_empty(definition: Definition) -> bool:
    return all(isinstance(statement, Text) and not statement.text.strip() for statement in definition.body)
