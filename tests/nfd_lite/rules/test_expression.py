"""Every operator on a value, a missing value and a flag, and operators with invalid values."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.expression import (
    RuleError,
    compile_pattern,
    expression_problem,
    expression_warning,
    is_true,
    parse_integer,
)
from nfd_lite.rules.model import Expression, Op, ValueType

V = ValueType.VERSION
VALID = {
    Op.ALWAYS: (),
    Op.IN: ("1", "2"),
    Op.NOT_IN: ("1", "2"),
    Op.IN_REGEXP: ("^1", "2$"),
    Op.EXISTS: (),
    Op.DOES_NOT_EXIST: (),
    Op.GT: ("1",),
    Op.GE: ("1",),
    Op.LT: ("1",),
    Op.LE: ("1",),
    Op.GT_LT: ("1", "3"),
    Op.GE_LE: ("1", "3"),
    Op.IS_TRUE: (),
    Op.IS_FALSE: (),
}
ORDERINGS = (Op.GT, Op.GE, Op.LT, Op.LE, Op.GT_LT, Op.GE_LE)


def expression(op: Op, *value: str, type_: str = ValueType.PLAIN) -> Expression:
    return Expression(op=op, value=value, type=type_)


@pytest.mark.parametrize(
    ("op", "values", "value", "expected"),
    [
        (Op.ALWAYS, (), "anything", True),
        (Op.IN, ("a", "b"), "b", True),
        (Op.IN, ("a", "b"), "B", False),
        (Op.IN, ("a",), "", False),
        (Op.IN, ("",), "", True),
        (Op.NOT_IN, ("a", "b"), "c", True),
        (Op.NOT_IN, ("a", "b"), "a", False),
        (Op.IN_REGEXP, ("b+", "x"), "abbc", True),
        (Op.IN_REGEXP, ("^b+$",), "abbc", False),
        (Op.IN_REGEXP, ("",), "", True),
        (Op.IN_REGEXP, (r"\d",), "\u0661", False),
        (Op.IN_REGEXP, ("(?i)AVX",), "avx512", True),
        (Op.IN_REGEXP, ("\u00e9",), "caf\u00e9", True),
        (Op.IN_REGEXP, ("a$",), "a\n", False),
        (Op.IN_REGEXP, ("x",), "\ud800x", True),
        (Op.EXISTS, (), "", True),
        (Op.DOES_NOT_EXIST, (), "", False),
        (Op.GT, ("5",), "6", True),
        (Op.GT, ("5",), "5", False),
        (Op.GT, ("-5",), "+4", True),
        (Op.GT, ("9",), "10", True),
        (Op.GE, ("5",), "5", True),
        (Op.GE, ("5",), "4", False),
        (Op.LT, ("5",), "4", True),
        (Op.LT, ("5",), "5", False),
        (Op.LE, ("5",), "5", True),
        (Op.LE, ("5",), "6", False),
        (Op.GT_LT, ("1", "3"), "2", True),
        (Op.GT_LT, ("1", "3"), "1", False),
        (Op.GT_LT, ("1", "3"), "3", False),
        (Op.GE_LE, ("1", "3"), "1", True),
        (Op.GE_LE, ("1", "3"), "3", True),
        (Op.GE_LE, ("1", "3"), "0", False),
        (Op.GE_LE, ("1", "3"), "4", False),
        (Op.IS_TRUE, (), "true", True),
        (Op.IS_TRUE, (), "True", False),
        (Op.IS_TRUE, (), "1", False),
        (Op.IS_FALSE, (), "false", True),
        (Op.IS_FALSE, (), "true", False),
        (Op.IS_FALSE, (), "", False),
    ],
    ids=ascii,
)
def test_an_operator_on_a_value(op: Op, values: tuple[str, ...], value: str, expected: bool) -> None:
    assert is_true(expression(op, *values), True, value) is expected


@pytest.mark.parametrize(
    ("op", "values", "value", "expected"),
    [
        (Op.GT, ("5.9",), "5.10", True),
        (Op.GT, ("5.10",), "5.10.0-rc.1", False),
        (Op.GE, ("5.10",), "v5.10.0-rc.1", True),
        (Op.LT, ("5.10",), "5.9.99", True),
        (Op.LE, ("5",), "5.0.0+x", True),
        (Op.GT_LT, ("5", "6"), "5.0.1", True),
        (Op.GT_LT, ("5", "6"), "6", False),
        (Op.GE_LE, ("5", "6"), "6.0", True),
        (Op.GE_LE, ("5", "6"), "4.18.0-553.el8_10.x86_64", False),
        (Op.GE, ("4.18",), "4.18.0-553.el8_10.x86_64", True),
        (Op.GT_LT, ("6", "5"), "5.5", False),
    ],
    ids=ascii,
)
def test_an_ordering_of_versions(op: Op, values: tuple[str, ...], value: str, expected: bool) -> None:
    assert is_true(expression(op, *values, type_=V), True, value) is expected


@pytest.mark.parametrize(
    ("present", "expected"),
    [(False, {Op.ALWAYS, Op.DOES_NOT_EXIST}), (True, {Op.ALWAYS, Op.EXISTS})],
    ids=["missing", "flag"],
)
@pytest.mark.parametrize("op", Op, ids=lambda op: op.value or "no op")
def test_without_a_value_only_presence_counts(op: Op, present: bool, expected: set[Op]) -> None:
    assert is_true(expression(op, *VALID[op]), present) is (op in expected)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        *((value, ValueType.PLAIN) for value in ("1,5", "1_!", "1 ")),
        *((value, type_) for value in ("", "x", "0x10", " 1", "--1", "\u0661", "1e3") for type_ in ValueType),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("op", ORDERINGS)
def test_a_value_that_cannot_be_ordered_is_an_error(op: Op, value: str, type_: ValueType) -> None:
    with pytest.raises(RuleError, match=r"is not (an integer|a version)"):
        is_true(expression(op, *VALID[op], type_=type_), True, value)


@pytest.mark.parametrize("value", ["1.5", "1_0", "9223372036854775808", "-9223372036854775809", "1" * 5000])
def test_an_integer_must_be_whole_and_fit_into_64_bits(value: str) -> None:
    with pytest.raises(RuleError, match=r"is not an integer|does not fit into 64 bits"):
        is_true(expression(Op.GT, "1"), True, value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_integer_is_parsed(number: int) -> None:
    assert parse_integer(str(number)) == number
    assert parse_integer(f"{number:0=32}") == number, "32 characters are the maximum"


@pytest.mark.parametrize("op", Op, ids=lambda op: op.value or "no op")
def test_an_expression_with_the_right_values_is_valid(op: Op) -> None:
    assert expression_problem(expression(op, *VALID[op])) is None


@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize("op", Op, ids=lambda op: op.value or "no op")
def test_each_operator_needs_its_number_of_values(op: Op, count: int) -> None:
    values = ("1", "2", "3")[:count]
    allowed = {Op.IN: {1, 2, 3}, Op.NOT_IN: {1, 2, 3}, Op.IN_REGEXP: {1, 2, 3}}.get(op, {len(VALID[op])})
    problem = expression_problem(expression(op, *values))
    assert (problem is None) is (count in allowed)
    assert problem is None or "value" in problem


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (expression(Op.GT, "x"), "'x' is not an integer"),
        (expression(Op.GT, "5.x", type_=V), "'5.x' is not a version: "),
        (expression(Op.GE_LE, "1.2.3.4", "1,5", type_=V), "'1,5' is not a version: "),
        (expression(Op.GT_LT, "3", "3"), "the first value of GtLt must be below the second"),
        (expression(Op.GE_LE, "4", "3"), "the first value of GeLe must be below the second"),
        (expression(Op.IN_REGEXP, "ok", "("), "'(' is not a regular expression: missing ): ("),
        (expression(Op.IN_REGEXP, "(?=x)"), "is not a regular expression: "),
        (expression(Op.GT, "1", type_="semver"), "'semver' is not a type. The only type is version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_can_never_match_are_a_problem(bad: Expression, why: str) -> None:
    assert why in (expression_problem(bad) or "")


@pytest.mark.parametrize("type_", [V, "semver"])
@pytest.mark.parametrize("op", set(Op) - set(ORDERINGS))
def test_a_type_without_effect_is_a_warning(op: Op, type_: str) -> None:
    tested = expression(op, *VALID[op], type_=type_)
    assert expression_problem(tested) is None
    assert expression_warning(tested) == "type has no effect: only Gt, Ge, Lt, Le, GtLt, GeLe use a type"
    assert is_true(tested, True, "1") is is_true(expression(op, *VALID[op]), True, "1")


@pytest.mark.parametrize("op", ORDERINGS)
def test_a_type_with_effect_is_no_warning(op: Op) -> None:
    assert expression_warning(expression(op, *VALID[op], type_=V)) is None


@pytest.mark.parametrize(
    "bad",
    [
        *(expression(op) for op in Op if VALID[op]),
        *(expression(op, *VALID[op], "1") for op in Op if len(VALID[op]) < 2 or op in ORDERINGS),
        expression(Op.GT, "x"),
        expression(Op.GT, "1", type_="semver"),
        expression(Op.GT_LT, "3", "3"),
        expression(Op.IN_REGEXP, "rhel("),
    ],
    ids=str,
)
def test_a_wrong_expression_is_an_error_only_where_its_value_exists(bad: Expression) -> None:
    with pytest.raises(RuleError):
        is_true(bad, True, "1")
    for present in (False, True):
        if bad.op not in (Op.ALWAYS, Op.EXISTS, Op.DOES_NOT_EXIST):
            assert is_true(bad, present) is False


@pytest.mark.parametrize("patterns", [("(", "b"), ("b", "(")])
def test_a_pattern_that_matches_counts_beside_a_wrong_one(patterns: tuple[str, str]) -> None:
    assert is_true(expression(Op.IN_REGEXP, *patterns), True, "abc") is True
    with pytest.raises(RuleError):
        is_true(expression(Op.IN_REGEXP, *patterns), True, "x")


def test_a_range_of_versions_may_be_empty() -> None:
    assert expression_problem(expression(Op.GT_LT, "6", "5", type_=V)) is None


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with suppress(RuleError):
        compile_pattern(text).search(b"x")
