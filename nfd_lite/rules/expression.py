"""One expression on one value: the table of operators."""

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from nfd_lite.rules.model import Expression, Op, ValueType
from nfd_lite.rules.version import parse_version
from node_core.errors import NodeError

_MIN_INT, _MAX_INT = -(1 << 63), (1 << 63) - 1
_PATTERN_MEMORY = 1 << 20


class RuleError(NodeError):
    """A rule cannot be evaluated. It keeps what it made before, and does not hinder other rules."""

    retryable = False


class Pattern(Protocol):
    """A compiled regular expression. Text is given as UTF-8, which saves most of the time of a search."""

    def search(self, text: bytes) -> object | None: ...


def holds(expression: Expression, present: bool, value: str | None = None) -> bool:
    """Whether an element is as the expression asks. value: None for a flag, and for an element that is not there.

    Without a value nothing holds that needs one, NotIn included. Raises RuleError for a value that the operator cannot read.
    """
    match expression.op:
        case Op.ALWAYS:
            return True
        case Op.EXISTS:
            return present
        case Op.DOES_NOT_EXIST:
            return not present
    return value is not None and _TESTS[expression.op](value, expression)


def _is_in(value: str, expression: Expression) -> bool:
    return value in expression.value


def _is_not_in(value: str, expression: Expression) -> bool:
    return value not in expression.value


def _is_found(value: str, expression: Expression) -> bool:
    text = value.encode(errors="replace")
    return any(compile_pattern(pattern).search(text) for pattern in expression.value)


def _compare(holds_for: Callable[[Any, Any], bool]) -> Callable[[str, Expression], bool]:
    def test(value: str, expression: Expression) -> bool:
        number, bound = read_number(value, expression.type), read_number(expression.value[0], expression.type)
        return holds_for(number, bound)

    return test


def _between(holds_for: Callable[[Any, Any], bool]) -> Callable[[str, Expression], bool]:
    def test(value: str, expression: Expression) -> bool:
        number, low, high = (read_number(text, expression.type) for text in (value, *expression.value))
        return holds_for(low, number) and holds_for(number, high)

    return test


_TESTS: Mapping[Op, Callable[[str, Expression], bool]] = {
    Op.IN: _is_in,
    Op.NOT_IN: _is_not_in,
    Op.IN_REGEXP: _is_found,
    Op.GT: _compare(operator.gt),
    Op.GE: _compare(operator.ge),
    Op.LT: _compare(operator.lt),
    Op.LE: _compare(operator.le),
    Op.GT_LT: _between(operator.lt),
    Op.GE_LE: _between(operator.le),
    Op.IS_TRUE: lambda value, _expression: value == "true",
    Op.IS_FALSE: lambda value, _expression: value == "false",
}
_RANGES = (Op.GT_LT, Op.GE_LE)
_ORDERINGS = (Op.GT, Op.GE, Op.LT, Op.LE, *_RANGES)
_LISTS = (Op.IN, Op.NOT_IN, Op.IN_REGEXP)


def read_number(text: str, kind: ValueType) -> Any:
    """The value as Gt and its kin compare it. Raises RuleError."""
    try:
        return parse_version(text) if kind == ValueType.VERSION else parse_integer(text)
    except ValueError as error:
        raise RuleError(str(error)) from error


def parse_integer(text: str) -> int:
    """A 64-bit integer as Go reads it: a sign and ASCII digits, nothing else. Raises ValueError with the reason."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if len(text) > 32 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text[:40]!r} is not an integer")
    number = int(text)
    if not _MIN_INT <= number <= _MAX_INT:
        raise ValueError(f"{text!r} does not fit into 64 bits")
    return number


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """By RE2: no pattern takes more than linear time. Raises RuleError."""
    import re2  # noqa: PLC0415 - nodes without such rules do without it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    try:
        pattern: Pattern = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise RuleError(f"{text!r} is not a regular expression: {reason}") from error
    return pattern


def expression_problem(expression: Expression) -> str | None:
    """Why this expression can never be evaluated, or None."""
    count = _count_problem(expression)
    if count is not None:
        return count
    if expression.type and expression.op not in _ORDERINGS:
        return f"type is for {', '.join(_ORDERINGS)} only"
    try:
        return _value_problem(expression)
    except RuleError as error:
        return error.message


def _count_problem(expression: Expression) -> str | None:
    op, count = expression.op, len(expression.value)
    if op in _LISTS:
        return None if count else f"{op} needs at least one value"
    wanted = 2 if op in _RANGES else 1 if op in _ORDERINGS else 0
    if count == wanted:
        return None
    return f"{op or 'an expression without op'} takes {('no value', 'one value', 'two values')[wanted]}, not {count}"


def _value_problem(expression: Expression) -> str | None:
    if expression.op == Op.IN_REGEXP:
        for pattern in expression.value:
            compile_pattern(pattern)
    if expression.op not in _ORDERINGS:
        return None
    numbers = [read_number(text, expression.type) for text in expression.value]
    if expression.op in _RANGES and not expression.type and numbers[0] >= numbers[1]:
        return f"the first value of {expression.op} must be below the second"
    return None
