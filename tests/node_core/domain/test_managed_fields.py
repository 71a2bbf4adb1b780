"""The fields of an object that a field manager owns."""

from typing import Any

import pytest

from node_core.domain.managed_fields import find_owned_fields, find_owned_keys, select_owned_part

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
def test_the_owned_part_of_a_value_is_selected(value: Any, fields: dict[str, Any], part: Any) -> None:
    assert select_owned_part(value, fields) == part


def test_an_empty_owned_map_stays_empty_when_others_fill_the_map() -> None:
    live = {"attributes": {"a": {"elements": {"x": "1", "theirs": "2"}}}, "flags": {"theirs": {"elements": {}}}}
    fields = find_owned_fields([entry("m", FEATURES)], "m", "spec", "features")
    assert select_owned_part(live, fields) == {"attributes": {"a": {"elements": {"x": "1"}}}, "flags": {}}


def test_only_applied_fields_below_the_path_are_owned() -> None:
    entries = [
        entry("m", {"f:status": {"f:capacity": {"f:a": {}}}}, subresource="status"),
        entry("m", {"f:status": {"f:capacity": {"f:b": {}}}}),
        entry("n", {"f:status": {"f:capacity": {"f:c": {}}}}, subresource="status", operation="Update"),
    ]
    assert find_owned_keys(entries, "status", "capacity", subresource="status") == {"m": {"a"}}
    assert find_owned_keys(None, "status") == {}
    assert find_owned_fields(entries, "other", "status") == {}
