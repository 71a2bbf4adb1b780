"""Evaluates one expression on one value: the table of operators."""

import operator
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from nfd_lite.rules.model import Expression, Op, ValueType
from nfd_lite.rules.version import parse_version, version_problem
from node_core.errors import NodeError
from node_core.schema import suggest

_MIN_INT, _MAX_INT = -(1 << 63), (1 << 63) - 1
_PATTERN_MEMORY = 1 << 20


class RuleError(NodeError):
    """A rule cannot be evaluated. The rule retains its previous outputs; other rules are not affected."""


class Pattern(Protocol):
    """A compiled regular expression. Text is UTF-8, which saves most of the time of a search."""

    def search(self, text: bytes) -> object | None: ...


def is_true(expression: Expression, present: bool, value: str | None = None) -> bool:
    """Evaluates an expression on an element. present: the element exists. value: None for a flag or a missing element.

    An operator that needs a value, including NotIn, is false without a value, whatever problems the expression has. Raises RuleError if
    the operator cannot parse the value, or if the expression has a problem.
    """
    op = expression.op
    if op not in VALUELESS and value is None:
        return False
    if len(expression.value) not in _COUNTS[op]:
        raise RuleError(_describe_count(expression))
    if op in VALUELESS:
        return op == Op.ALWAYS or present is (op == Op.EXISTS)
    return value is not None and _TESTS[op](value, expression)


def _matches_pattern(value: str, expression: Expression) -> bool:
    text = value.encode(errors="replace")
    errors: list[RuleError] = []
    for pattern in expression.value:
        try:
            if compile_pattern(pattern).search(text):
                return True
        except RuleError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return False


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[str, Expression], bool]:
    def test(value: str, expression: Expression) -> bool:
        bound = _read_bound(expression.value[0], expression.type)
        return compare(read_number(value, expression.type), bound)

    return test


def _between(compare: Callable[[Any, Any], bool]) -> Callable[[str, Expression], bool]:
    def test(value: str, expression: Expression) -> bool:
        low, high = _read_range(expression)
        number = read_number(value, expression.type)
        return compare(low, number) and compare(number, high)

    return test


_TESTS: Mapping[Op, Callable[[str, Expression], bool]] = {
    Op.IN: lambda value, expression: value in expression.value,
    Op.NOT_IN: lambda value, expression: value not in expression.value,
    Op.IN_REGEXP: _matches_pattern,
    Op.GT: _compare(operator.gt),
    Op.GE: _compare(operator.ge),
    Op.LT: _compare(operator.lt),
    Op.LE: _compare(operator.le),
    Op.GT_LT: _between(operator.lt),
    Op.GE_LE: _between(operator.le),
    Op.IS_TRUE: lambda value, _expression: value == "true",
    Op.IS_FALSE: lambda value, _expression: value == "false",
}
VALUELESS = (Op.ALWAYS, Op.EXISTS, Op.DOES_NOT_EXIST)
"""Operators that read no value."""
_RANGES = (Op.GT_LT, Op.GE_LE)
_ORDERINGS = (Op.GT, Op.GE, Op.LT, Op.LE, *_RANGES)
_LISTS = (Op.IN, Op.NOT_IN, Op.IN_REGEXP)
_COUNTS: Mapping[Op, range] = {
    **dict.fromkeys(Op, range(1)),
    **dict.fromkeys(_LISTS, range(1, sys.maxsize)),
    **dict.fromkeys(_ORDERINGS, range(1, 2)),
    **dict.fromkeys(_RANGES, range(2, 3)),
}
"""Operator -> its possible numbers of values."""


def _read_range(expression: Expression) -> tuple[Any, Any]:
    low, high = (_read_bound(text, expression.type) for text in expression.value)
    if not expression.type and low >= high:
        raise RuleError(f"the first value of {expression.op} must be below the second")
    return low, high


def _read_bound(text: str, kind: str) -> Any:
    """Parses a value that a rule contains. Raises RuleError."""
    bound = read_number(text, kind)
    if kind == ValueType.VERSION and (why := version_problem(text)):
        raise RuleError(why)
    return bound


def read_number(text: str, kind: str) -> Any:
    """Parses a value of an ordering operator. Raises RuleError."""
    if kind not in tuple(ValueType):
        raise RuleError(f"{kind[:80]!r} is not a type{suggest(kind, tuple(ValueType))}. The only type is version")
    try:
        return parse_version(text) if kind == ValueType.VERSION else parse_integer(text)
    except ValueError as error:
        raise RuleError(str(error)) from error


def parse_integer(text: str) -> int:
    """Parses a 64-bit integer as Go does: an optional sign and ASCII digits. Raises ValueError with the reason."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if len(text) > 32 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text[:40]!r} is not an integer")
    number = int(text)
    if not _MIN_INT <= number <= _MAX_INT:
        raise ValueError(f"{text!r} does not fit into 64 bits")
    return number


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """Compiles a pattern with RE2, whose searches take linear time. Raises RuleError."""
    import re2  # noqa: PLC0415 - saves memory on nodes without patterns

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    try:
        pattern: Pattern = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise RuleError(describe_pattern_error(text, error)) from error
    return pattern


def describe_pattern_error(text: str, error: Exception) -> str:
    """error: an exception of re2.compile, whose reason is bytes."""
    reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    return f"{text!r} is not a regular expression: {reason}"


def expression_problem(expression: Expression) -> str | None:
    """Returns why an expression fails on every value; None for a valid expression."""
    if len(expression.value) not in _COUNTS[expression.op]:
        return _describe_count(expression)
    try:
        _check_values(expression)
    except RuleError as error:
        return error.message
    return None


def _describe_count(expression: Expression) -> str:
    op, count = expression.op, len(expression.value)
    if op in _LISTS:
        return f"{op} needs at least one value"
    expected = ("no value", "one value", "two values")[_COUNTS[op].start]
    return f"{op or 'an expression without op'} needs {expected}, not {count}"


def _check_values(expression: Expression) -> None:
    """Raises RuleError if the operator cannot use its own values."""
    if expression.op == Op.IN_REGEXP:
        for pattern in expression.value:
            compile_pattern(pattern)
    elif expression.op in _RANGES:
        _read_range(expression)
    elif expression.op in _ORDERINGS:
        _read_bound(expression.value[0], expression.type)


def expression_warning(expression: Expression) -> str | None:
    """Returns which part of an expression has no effect."""
    if expression.type and expression.op not in _ORDERINGS:
        return f"type has no effect: only {', '.join(_ORDERINGS)} use a type"
    return None
