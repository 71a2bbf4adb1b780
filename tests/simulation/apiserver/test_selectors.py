"""Label and field selectors."""

from typing import Any

import pytest

from simulation.apiserver.selectors import parse_selection
from simulation.apiserver.status import ApiError

NODE: dict[str, Any] = {
    "metadata": {"name": "n1", "labels": {"gpu": "yes", "nvidia.com/gpu.count": "8", "empty": ""}},
    "spec": {},
}


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
    assert parse_selection("Node", labels=selector).matches(NODE) is matches


@pytest.mark.parametrize(
    "selector",
    [
        *("=x", "a=b=c", "a in b", "a,,b", "in (a)", "bad_prefix!/x=1", "a=no spaces"),
        *("a>b", "a>1.5", "a>", "a>-1", "a>=1", "!a>1", ">1", "a>1 x", "a>99999999999999999999"),
    ],
)
def test_a_malformed_label_selector_is_a_bad_request(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_selection("Node", labels=selector)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("kind", "selector", "matches"),
    [
        ("Node", "metadata.name=n1", True),
        ("Node", "metadata.name!=n1", False),
        ("Node", "spec.unschedulable=false", True),
        ("Pod", "spec.nodeName=", True),
        ("Pod", "spec.nodeName=n1,status.phase!=Failed", False),
        ("Event", "involvedObject.name=x", False),
    ],
)
def test_a_field_selector_matches(kind: str, selector: str, matches: bool) -> None:
    assert parse_selection(kind, fields=selector).matches(NODE) is matches


def test_an_unsupported_field_is_an_error_with_its_name() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.nodeName"):
        parse_selection("Node", fields="spec.nodeName=x")
