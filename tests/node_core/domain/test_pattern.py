"""Patterns with `*`, compared with equal regular expressions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.pattern import matches_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "", True),
        ("*", "anything at all", True),
        ("", "", True),
        ("", "x", False),
        ("1g.10gb", "1g.10gb", True),
        ("1g.10gb", "1g.10gb+me", False),
        ("1g.10gb", "1gx10gb", False),
        ("*A100*", "NVIDIA A100-SXM4-40GB", True),
        ("A100*", "NVIDIA A100-SXM4-40GB", False),
        ("ab*ba", "aba", False),
        ("a*a*a", "aa", False),
        ("[0-9]?", "1", False),
    ],
)
def test_a_pattern_is_anchored_and_only_the_star_is_special(pattern: str, text: str, matches: bool) -> None:
    assert matches_pattern(pattern, text) is matches


@given(st.text("ab*.", max_size=8), st.text("ab.", max_size=10))
def test_a_pattern_matches_like_the_same_regular_expression(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches_pattern(pattern, text) is (re.fullmatch(expression, text) is not None)


def test_a_pattern_with_many_stars_is_fast() -> None:
    assert not matches_pattern("*a" * 1000 + "b", "a" * 5000)
