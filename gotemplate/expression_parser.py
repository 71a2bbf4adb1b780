"""Parses the contents of `{{ }}`: pipelines, commands and operands."""

from collections.abc import Callable, Mapping

from gotemplate import literals
from gotemplate.cursor import Cursor
from gotemplate.errors import TemplateError
from gotemplate.functions import FUNCTIONS
from gotemplate.lexer import Kind, Token
from gotemplate.nodes import (
    Call,
    Constant,
    Dot,
    Fields,
    Node,
    Number,
    Pipe,
    ShortCircuit,
    Stage,
    ValueCommand,
    Variable,
)

_CHOICES = {"and": False, "or": True}
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "nil": None}
KEYWORDS = frozenset(["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"])


def parse_pipe(cursor: Cursor, context: str, end: str = "}}", *, maximum_variables: int = 1) -> Pipe:
    """Parses a pipeline with the variables before it, including `end`."""
    names, operator = _parse_names(cursor, context, maximum_variables)
    line = cursor.line
    known = [_known_slot(cursor, name) for name in names] if operator == "=" else []
    stages = _parse_stages(cursor, context, end)
    declared = [cursor.scope.declare(name) for name in names] if operator == ":=" else []
    return Pipe(stages, line, _text_of(stages), tuple(known or declared))


def _known_slot(cursor: Cursor, name: str) -> int:
    slot = cursor.scope.find(name)
    if slot is None:
        raise cursor.error(f'undefined variable "{name}"')
    return slot


def _parse_names(cursor: Cursor, context: str, maximum: int) -> tuple[list[str], str]:
    """Returns the variables of a declaration or an assignment, and `:=` or `=`. Returns no variables for any other pipeline."""
    first = cursor.peek_word()
    if first.kind is not Kind.VARIABLE:
        return [], ""
    cursor.next()
    space = cursor.peek()
    operator = cursor.peek_word()
    if operator.text in {":=", "="} and operator.kind is Kind.SIGN:
        return [first.text], cursor.next().text
    if operator.text == "," and operator.kind is Kind.SIGN:
        return _parse_second_name(cursor, first.text, context, maximum)
    if space.kind is Kind.SPACE:
        cursor.unread(space)
    cursor.unread(first)
    return [], ""


def _parse_second_name(cursor: Cursor, first: str, context: str, maximum: int) -> tuple[list[str], str]:
    cursor.next()
    if maximum == 1:
        raise cursor.error(f"too many declarations in {context}")
    second = cursor.next_word()
    if second.kind is not Kind.VARIABLE:
        raise cursor.error("range can only initialize variables")
    operator = cursor.next_word()
    if operator.text == ",":
        raise cursor.error("too many declarations in range")
    if operator.text not in {":=", "="}:
        raise cursor.error(f'undefined variable "{second.text}"')
    return [first, second.text], operator.text


def _text_of(stages: tuple[Stage, ...]) -> str:
    last = stages[-1]
    return (
        last.node.text
        if isinstance(last, ValueCommand)
        else last.name
        if isinstance(last, (Call, ShortCircuit))
        else ""
    )


def _parse_stages(cursor: Cursor, context: str, end: str) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    while not _is_end(cursor.peek_word(), end):
        stages.append(_parse_command(cursor, context))
    cursor.next()
    if not stages:
        raise cursor.error(f"missing value for {context}")
    _check_stages(cursor, stages)
    return tuple(stages)


def _is_end(token: Token, end: str) -> bool:
    return token.kind is Kind.CLOSE if end == "}}" else token.kind is Kind.SIGN and token.text == end


def _check_stages(cursor: Cursor, stages: list[Stage]) -> None:
    for number, stage in enumerate(stages[1:], 2):
        if isinstance(stage, ValueCommand) and isinstance(stage.node, (Constant, Number, Dot)):
            raise cursor.error(f"non executable command in pipeline stage {number}")


def _parse_command(cursor: Cursor, context: str) -> Stage:
    """Parses one command, including the `|` after the command."""
    operands: list[Node] = [_parse_operand(cursor, context)]
    while (token := cursor.next()).kind is Kind.SPACE:
        following = cursor.peek_word()
        if _ends_command(following):
            token = cursor.next()
            break
        operands.append(_parse_operand(cursor, "operand"))
    if not _ends_command(token):
        raise cursor.unexpected(token, "operand")
    if token.text != "|":
        cursor.unread(token)
    first, *rest = operands
    if isinstance(first, Call):
        return Call(first.name, first.function, tuple(rest))
    return (
        ShortCircuit(first.name, first.stop_value, tuple(rest))
        if isinstance(first, ShortCircuit)
        else ValueCommand(first, tuple(rest))
    )


def _ends_command(token: Token) -> bool:
    return token.kind is Kind.CLOSE or (token.kind is Kind.SIGN and token.text in {"|", ")"})


def _parse_operand(cursor: Cursor, context: str) -> Node:
    """Parses a term, including the fields after the term."""
    node = _parse_term(cursor, context)
    names: list[str] = []
    while cursor.peek().kind is Kind.FIELD:
        names.append(cursor.next().text[1:])
    if not names:
        return node
    if isinstance(node, (Constant, Number, Dot)):
        raise cursor.error(f"unexpected . after term {node.text!r}")
    chain = "." + ".".join(names)
    if isinstance(node, Fields):
        return Fields((*node.names, *names), node.base, node.text + chain)
    return Fields(tuple(names), node, node.text + chain)


def _parse_term(cursor: Cursor, context: str) -> Node:
    token = cursor.next_word()
    parse = _TERMS.get(token.kind)
    if parse is not None:
        try:
            return parse(cursor, token)
        except TemplateError as error:
            error.set_line(token.line)
            raise
    if token.text == "(" and token.kind is Kind.SIGN:
        return _parse_parenthesis(cursor)
    raise cursor.unexpected(token, "command" if context != "operand" else context)


def _parse_parenthesis(cursor: Cursor) -> Pipe:
    cursor.enter()
    pipe = parse_pipe(cursor, "parenthesized pipeline", ")")
    cursor.leave()
    return pipe


def _parse_word(cursor: Cursor, token: Token) -> Node:
    name = token.text
    if name in _CONSTANTS:
        return Constant(_CONSTANTS[name], name)
    if name in KEYWORDS:
        raise cursor.error(f"unexpected <{name}> in command")
    if name in _CHOICES:
        return ShortCircuit(name, _CHOICES[name])
    if name not in FUNCTIONS:
        raise cursor.error(f'function "{name}" not defined')
    return Call(name, FUNCTIONS[name])


def _parse_variable(cursor: Cursor, token: Token) -> Node:
    return Variable(_known_slot(cursor, token.text), token.text)


_TERMS: Mapping[Kind, Callable[[Cursor, Token], Node]] = {
    Kind.WORD: _parse_word,
    Kind.VARIABLE: _parse_variable,
    Kind.DOT: lambda _, __: Dot(),
    Kind.FIELD: lambda _, token: Fields((token.text[1:],), Dot(), token.text),
    Kind.NUMBER: lambda _, token: Number(literals.parse_number(token.text), token.text),
    Kind.CHARACTER: lambda _, token: Number(literals.parse_character(token.text), token.text),
    Kind.STRING: lambda _, token: Constant(literals.parse_string(token.text), token.text),
}
