"""Label and field selectors."""

from typing import Any

import pytest

from simulation.apiserver.selectors import parse_selection
from simulation.apiserver.status import ApiError

NODE: dict[str, Any] = {
    "metadata": {"name": "n1", "labels": {"gpu": "yes", "nvidia.com/gpu.count": "8", "empty": ""}},
    "spec": {},
}


@pytest.mark.parametrize(("selector", "matches"), [("", True), ("gpu=yes,!missing", True), ("gpu=yes,missing", False)])
def test_a_label_selector_matches(selector: str, matches: bool) -> None:
    assert parse_selection("Node", labels=selector).matches(NODE) is matches


def test_a_malformed_label_selector_is_a_bad_request() -> None:
    with pytest.raises(ApiError) as refused:
        parse_selection("Node", labels="a=b=c")
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
