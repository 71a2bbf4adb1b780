"""Sprig's arithmetic: integers of 64 bits with overflow as in Go, decimals that do not lose digits, sequences.

Source: masterminds.github.io/sprig/math.html and mathf.html.
"""

import math
from decimal import Context, Decimal, DecimalException, localcontext
from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.functions.conversions import decimal, integer
from gotemplate.run import Run
from gotemplate.values import Int64, wrap64

_DIGITS = Context(prec=700, Emax=100_000, Emin=-100_000)


def add(*values: Any) -> Int64:
    return wrap64(sum(map(integer, values)))


def add1(value: Any) -> Int64:
    return wrap64(integer(value) + 1)


def sub(left: Any, right: Any) -> Int64:
    return wrap64(integer(left) - integer(right))


def mul(first: Any, *others: Any) -> Int64:
    product = wrap64(integer(first))
    for other in others:
        product = wrap64(product * integer(other))
    return product


def div(left: Any, right: Any) -> Int64:
    return wrap64(_quotient(integer(left), integer(right)))


def mod(left: Any, right: Any) -> Int64:
    dividend, divisor = integer(left), integer(right)
    return wrap64(dividend - divisor * _quotient(dividend, divisor))


def _quotient(dividend: int, divisor: int) -> int:
    """Divides as Go: rounds toward zero."""
    if divisor == 0:
        raise TemplateError("integer divide by zero")
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def max_(first: Any, *others: Any) -> Int64:
    return Int64(max(map(integer, [first, *others])))


def min_(first: Any, *others: Any) -> Int64:
    return Int64(min(map(integer, [first, *others])))


def maxf(first: Any, *others: Any) -> float:
    return max(map(decimal, [first, *others]))


def minf(first: Any, *others: Any) -> float:
    return min(map(decimal, [first, *others]))


def _exact(value: Any) -> Decimal:
    number = decimal(value)
    if not math.isfinite(number):
        raise TemplateError(f"cannot calculate with {number}")
    return Decimal(repr(number))


def _calculate(sign: str, first: Any, others: tuple[Any, ...]) -> float:
    result = _exact(first)
    with localcontext(_DIGITS):
        for other in map(_exact, others):
            try:
                result = _OPERATIONS[sign](result, other)
            except DecimalException:
                raise TemplateError(f"the numbers are too large for {sign}") from None
        return float(result) + 0.0  # decimals have no negative zero


def _divided(left: Decimal, right: Decimal) -> Decimal:
    if right == 0:
        raise TemplateError("decimal division by 0")
    return (left / right).quantize(Decimal("1e-16"))


_OPERATIONS = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
}


def addf(*values: Any) -> float:
    return _calculate("+", 0.0, values)


def add1f(value: Any) -> float:
    return _calculate("+", value, (1.0,))


def subf(first: Any, *others: Any) -> float:
    return _calculate("-", first, others)


def mulf(first: Any, *others: Any) -> float:
    return _calculate("*", first, others)


def divf(first: Any, *others: Any) -> float:
    return _calculate("/", first, others)


def ceil(value: Any) -> float:
    return _rounded(math.ceil, decimal(value))


def floor(value: Any) -> float:
    return _rounded(math.floor, decimal(value))


def _rounded(towards: Any, number: float) -> float:
    return math.copysign(float(towards(number)), number) if math.isfinite(number) else number


def round_(value: Any, places: int, *threshold: float) -> float:
    """Rounds up if the removed fraction is at least the threshold, 0.5 by default. As in Sprig, negative numbers are rounded down."""
    number = decimal(value)
    if not -300 <= places <= 300:
        raise TemplateError(f"cannot round to {places} decimal places")
    power = 10.0**places
    shifted = number * power
    if not math.isfinite(shifted):
        return number
    up = math.modf(shifted)[0] >= (threshold[0] if threshold else 0.5)
    return float(math.ceil(shifted) if up else math.floor(shifted)) / power


def until(run: Run, count: int) -> list[int]:
    return until_step(run, 0, count, 1 if count >= 0 else -1)


def until_step(run: Run, start: int, stop: int, step: int) -> list[int]:
    """Returns the numbers from start to stop, without stop. Returns no numbers if the step has the wrong sign."""
    if step == 0:
        return []
    numbers = range(start, stop, step)
    run.reserve(_length(numbers))
    return list(numbers)


def _length(numbers: range) -> int:
    return max(0, -((numbers.start - numbers.stop) // numbers.step))


def seq(run: Run, *ends: int) -> str:
    """Returns the numbers that the command `seq` prints. ends: the end; the start and the end; or the start, the step and the end."""
    if not 1 <= len(ends) <= 3:
        return ""
    start, end = (1 if len(ends) == 1 else ends[0]), ends[-1]
    step = ends[1] if len(ends) == 3 else 1 if start <= end else -1
    if end < start and step > 0:
        return ""
    direction = 1 if start <= end else -1
    return " ".join(map(str, until_step(run, start, end + direction, step)))


FUNCTIONS = function_table({
    "add": add, "add1": add1, "sub": sub, "mul": mul, "div": div, "mod": mod, "max biggest": max_, "min": min_,
    "maxf": maxf, "minf": minf, "addf": addf, "add1f": add1f, "subf": subf, "mulf": mulf, "divf": divf, "ceil": ceil,
    "floor": floor, "round": round_, "until": until, "untilStep": until_step, "seq": seq,
})  # fmt: skip
