"""Loose semantic versions."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.version import parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0", ()),
        ("5", (5,)),
        ("5.14", (5, 14)),
        ("5.14.2", (5, 14, 2)),
        ("v1.2.3", (1, 2, 3)),
        ("V1.2", (1, 2)),
        ("05.010.1", (5, 10, 1)),
        ("1.2.3-rc.1", (1, 2, 3)),
        ("1.2-rc", (1, 2)),
        ("1-0", (1,)),
        ("1-01", (1,)),
        ("1.2.3-rc.007", (1, 2, 3)),
        ("1.2.3+build.5", (1, 2, 3)),
        ("1.2.3-rc.1+build-5", (1, 2, 3)),
        ("6.8.0-45-generic", (6, 8)),
        ("6.5.0-060500-generic", (6, 5)),
        ("4.18.0-553.el8_10.x86_64", (4, 18)),
        ("5.14.0-427.13.1.el9_4.aarch64_64k", (5, 14)),
        ("6.1.58_deb12-amd64", (6, 1, 58)),
        ("6.12.57+deb13-amd64", (6, 12, 57)),
        ("550.54.15.1", (550, 54, 15, 1)),
        ("580.82.07-open", (580, 82, 7)),
        ("2023.6.20250303", (2023, 6, 20250303)),
        ("24.11.20250101.abc (Vicuna)", (24, 11, 20250101)),
        ("1.2.x", (1, 2)),
        ("1.", (1,)),
        ("1..2", (1,)),
        ("18446744073709551616", (18446744073709551616,)),
    ],
)
def test_only_the_numbers_of_a_version_count(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", ".1", " 1.2", "-1", "+1", "\u0661.2", "x" * 300, "rolling", "4d1f9a2", "9x.1"),
    ],
    ids=ascii,
)
def test_an_invalid_version_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version: "):
        parse_version(text)


NUMBERS = st.tuples(*[st.integers(0, 2**64 - 1)] * 4)


@given(NUMBERS, NUMBERS)
def test_versions_compare_as_their_numbers_do(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    first, second = (parse_version("v" + ".".join(map(str, numbers)) + "-rc.1+x") for numbers in (one, other))
    assert (first < second, first == second) == (one < other, one == other)


def test_missing_numbers_are_zero() -> None:
    assert parse_version("6.1") == parse_version("6.1.0") < parse_version("6.1.0.1")


@given(st.text())
def test_any_text_is_a_version_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert all(number >= 0 for number in parse_version(text))
