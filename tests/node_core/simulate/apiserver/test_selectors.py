from typing import Any

import pytest

from node_core.simulate.apiserver.selectors import parse_selection
from node_core.simulate.apiserver.status import ApiError

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
    ],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    assert parse_selection("Node", labels=selector).matches(NODE) is matches


@pytest.mark.parametrize("selector", ["=x", "a=b=c", "a in b", "a,,b", "in (a)", "bad_prefix!/x=1", "a=no spaces"])
def test_what_is_no_label_selector_is_a_bad_request(selector: str) -> None:
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
def test_field_selectors(kind: str, selector: str, matches: bool) -> None:
    assert parse_selection(kind, fields=selector).matches(NODE) is matches


def test_a_field_that_cannot_be_selected_is_named() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.nodeName"):
        parse_selection("Node", fields="spec.nodeName=x")
