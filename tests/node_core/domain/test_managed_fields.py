"""Which part of an object is whose."""

from typing import Any

import pytest

from node_core.domain.managed_fields import owned_fields, owned_keys, owned_part

FEATURES: Any = {
    "f:spec": {"f:features": {".": {}, "f:attributes": {"f:a": {"f:elements": {"f:x": {}}}}, "f:flags": {}}}
}


def entry(manager: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields} | more


@pytest.mark.parametrize(
    ("value", "fields", "part"),
    [
        ({"x": "1", "y": "2"}, {"f:x": {}}, {"x": "1"}),
        ({"x": "1"}, {}, {}),
        ({"x": {"y": "1", "z": "2"}}, {"f:x": {".": {}, "f:y": {}}}, {"x": {"y": "1"}}),
        ({"list": [1, 2]}, {"f:list": {}}, {"list": [1, 2]}),
        ("text", {}, "text"),
    ],
    ids=["one of two", "empty map", "nested", "list is whole", "scalar"],
)
def test_what_stands_in_the_fields_is_owned(value: Any, fields: dict[str, Any], part: Any) -> None:
    assert owned_part(value, fields) == part


def test_an_empty_map_that_others_filled_is_still_our_empty_map() -> None:
    live = {"attributes": {"a": {"elements": {"x": "1", "theirs": "2"}}}, "flags": {"theirs": {"elements": {}}}}
    fields = owned_fields([entry("m", FEATURES)], "m", "spec", "features")
    assert owned_part(live, fields) == {"attributes": {"a": {"elements": {"x": "1"}}}, "flags": {}}


def test_only_applies_to_the_asked_part_count() -> None:
    entries = [
        entry("m", {"f:status": {"f:capacity": {"f:a": {}}}}, subresource="status"),
        entry("m", {"f:status": {"f:capacity": {"f:b": {}}}}),
        entry("n", {"f:status": {"f:capacity": {"f:c": {}}}}, subresource="status", operation="Update"),
    ]
    assert owned_keys(entries, "status", "capacity", subresource="status") == {"m": {"a"}}
    assert owned_keys(None, "status") == {}
    assert owned_fields(entries, "nobody", "status") == {}
