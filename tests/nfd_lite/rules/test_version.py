from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.version import parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("5", (5, 0, 0)),
        ("5.14", (5, 14, 0)),
        ("5.14.2", (5, 14, 2)),
        ("v1.2.3", (1, 2, 3)),
        ("05.010.1", (5, 10, 1)),
        ("1.2.3-rc.1", (1, 2, 3)),
        ("1.2-rc", (1, 2, 0)),
        ("1-0", (1, 0, 0)),
        ("1.2.3+build.5", (1, 2, 3)),
        ("1.2.3-rc.1+build-5", (1, 2, 3)),
        ("6.8.0-45-generic", (6, 8, 0)),
        ("6.5.0-060500-generic", (6, 5, 0)),
        ("4.18.0-553.el8_10.x86_64", (4, 18, 0)),
        ("5.14.0-427.13.1.el9_4.aarch64_64k", (5, 14, 0)),
        ("6.1.58_deb12-amd64", (6, 1, 58)),
        ("18446744073709551615", (18446744073709551615, 0, 0)),
    ],
)
def test_the_numbers_count_and_nothing_behind_them(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", "V1.2", "1.", ".1", "1..2", "1.2.3.4", "550.54.15.1", "1.2.x", " 1.2", "1.2\n", "1.2.3-", "1.2.3+"),
        *("-1", "+1", "1.2.3-rc..1", "\u0661.2", "1.2.3-rc!", "1.2 3", "1-01", "1.2.3-rc.007", "x" * 300),
        "18446744073709551616",
        "9" * 250,
    ],
    ids=ascii,
)
def test_what_is_no_version_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version: "):
        parse_version(text)


@given(st.tuples(*[st.integers(0, 2**64 - 1)] * 3))
def test_versions_compare_as_their_numbers_do(numbers: tuple[int, int, int]) -> None:
    assert parse_version("v" + ".".join(map(str, numbers)) + "-rc.1+x") == numbers


@given(st.text())
def test_any_text_is_a_version_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert len(parse_version(text)) == 3
