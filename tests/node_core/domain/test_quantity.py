from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node_core.domain.quantity import canonical_quantity, parse_api_quantity, parse_quantity


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
def test_a_quantity_is_parsed_exactly(text: str | float, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1 Gi", "1gi", "1KiB", "--1", "1e", "1.2.3", "Gi", "1e9999", "\u0661", "1\n", True, "1" * 65]
)
def test_an_invalid_quantity_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@given(st.integers(min_value=-(10**30), max_value=10**30))
def test_every_integer_is_parsed_unchanged(number: int) -> None:
    assert parse_quantity(str(number)) == number


@pytest.mark.parametrize(
    ("text", "amount"), [("9E", 9 * 10**18), ("10E", 2**63 - 1), ("1e400", 2**63 - 1), ("-8Ei", 1 - 2**63), (0.5, 0.5)]
)
def test_an_amount_of_the_api_server_is_a_number_of_64_bits(text: str | float, amount: float) -> None:
    assert parse_api_quantity(text) == amount


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Gi", "0"),
        ("-0", "0"),
        ("+5", "5"),
        ("007", "7"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("1.5k", "1500"),
        ("1000000", "1M"),
        ("1000k", "1M"),
        ("-2000", "-2k"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("0.0001", "100u"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1024Ki", "1Mi"),
        ("1000Ki", "1000Ki"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1Ki", "1Ki"),
        ("1024Pi", "1Ei"),
        ("1.0001Ki", "1025"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1000e0", "1e3"),
        ("12e2", "1200"),
        ("5e-1", "500e-3"),
        ("1000E", "1000E"),
    ],
)
def test_the_canonical_form_is_that_of_kubernetes(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


NUMBERS = st.decimals(min_value=-(10**9), max_value=10**9, places=3).map(str)
SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E6", "e-2"])


@given(NUMBERS, SUFFIXES)
@example("17875.597", "Mi")
def test_the_canonical_form_has_the_same_amount_and_is_idempotent(number: str, suffix: str) -> None:
    """A binary amount that is not a whole number of Ki becomes a number with a decimal suffix, as in Kubernetes."""
    canonical = canonical_quantity(number + suffix)
    again = canonical_quantity(canonical)
    assert parse_quantity(again) == parse_quantity(canonical)
    assert canonical_quantity(again) == again
    assert abs(parse_quantity(canonical) - parse_quantity(number + suffix)) < (
        1 if suffix.endswith("i") else Fraction(1, 10**9)
    )


@given(st.text())
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_quantity(canonical_quantity(text)) is not None
