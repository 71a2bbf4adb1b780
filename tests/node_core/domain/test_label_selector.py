"""Label selectors."""

import pytest

from node_core.domain.label_selector import parse_label_selector

LABELS = {"gpu": "yes", "nvidia.com/gpu.count": "8", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("gpu=yes", True),
        ("gpu==yes", True),
        ("gpu=no", False),
        ("gpu!=no", True),
        ("missing!=x", True),
        ("gpu", True),
        ("!gpu", False),
        ("!missing", True),
        ("missing", False),
        ("empty=", True),
        ("gpu in (yes, maybe)", True),
        ("gpu notin (yes,maybe)", False),
        ("missing notin (a)", True),
        ("missing in (a)", False),
        ("gpu in (a,yes),nvidia.com/gpu.count=8,!missing", True),
        ("gpu in (a,yes),nvidia.com/gpu.count=4", False),
        ("nvidia.com/gpu.count>4", True),
        ("nvidia.com/gpu.count > 7,nvidia.com/gpu.count<9", True),
        ("nvidia.com/gpu.count>8", False),
        ("nvidia.com/gpu.count<8", False),
        ("gpu>1", False),
        ("missing>1", False),
        ("missing<1", False),
        ("gpu=yes,nvidia.com/gpu.count>4,!missing", True),
    ],
)
def test_a_label_selector_matches(selector: str, matches: bool) -> None:
    assert all(each.matches(LABELS) for each in parse_label_selector(selector)) is matches


@pytest.mark.parametrize(
    "selector",
    [
        *("=x", "a=b=c", "a in b", "a,,b", "in (a)", "bad_prefix!/x=1", "a=no spaces"),
        *("a>b", "a>1.5", "a>", "a>-1", "a>=1", "!a>1", ">1", "a>1 x", "a>99999999999999999999"),
    ],
)
def test_a_malformed_label_selector_is_an_error(selector: str) -> None:
    with pytest.raises(ValueError, match=r"requirement|'|integer"):
        parse_label_selector(selector)
