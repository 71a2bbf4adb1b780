from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("8", 8),
        ("+8", 8),
        ("-1", -1),
        ("500m", Fraction(1, 2)),
        ("0.1", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        ("1.", 1),
        ("1k", 1000),
        ("2Ki", 2048),
        ("1M", 10**6),
        ("1Mi", 2**20),
        ("3G", 3 * 10**9),
        ("1.5Gi", 3 * 2**29),
        ("1T", 10**12),
        ("1Ti", 2**40),
        ("1P", 10**15),
        ("1Pi", 2**50),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", Fraction(6, 5)),
        ("5n", Fraction(5, 10**9)),
        (4, 4),
        (0.5, Fraction(1, 2)),
    ],
    ids=str,
)
def test_a_quantity_is_read_exactly(text: str | float, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1 Gi", "1gi", "1KiB", "--1", "1e", "1.2.3", "Gi", "1e9999", "\u0661", "1\n", True]
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity: write a number"):
        parse_quantity(text)


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_every_integer_is_its_own_quantity(number: int) -> None:
    assert parse_quantity(str(number)) == number
