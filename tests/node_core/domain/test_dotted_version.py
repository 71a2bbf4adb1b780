"""The numbers at the start of versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.dotted_version import leading_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6.12.57+deb13-amd64", ("6", "12", "57")),
        ("5.15.167.4-microsoft-standard-WSL2", ("5", "15", "167", "4")),
        ("22.04", ("22", "04")),
        ("v1.32.4+k3s1", ("1", "32", "4")),
        ("R550_00", ("550",)),
        ("6.1.", ("6", "1")),
        ("6..1", ("6",)),
        ("6 (Vicuna)", ("6",)),
        ("24.11pre1", ("24", "11")),
        ("4d1f9a2", ()),
        ("version 6", ()),
        ("-6", ()),
        ("\u0666", ()),
        ("", ()),
    ],
)
def test_any_text_may_follow_the_numbers(text: str, numbers: tuple[str, ...]) -> None:
    assert leading_numbers(text) == numbers


def test_a_text_of_any_length_has_short_numbers() -> None:
    assert len("".join(leading_numbers("9" * 100_000))) <= 256


@given(st.text())
def test_the_numbers_are_ascii_digits_of_the_text(text: str) -> None:
    assert all(number.isascii() and number.isdigit() and number in text for number in leading_numbers(text))
