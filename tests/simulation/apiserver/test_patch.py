"""JSON merge patches and JSON patches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.apiserver.patch import MalformedPatchError, PatchFailedError, json_patch, merge_patch

SCALARS = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["", "x"]))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner)),
    max_leaves=6,
)
MAPS = st.dictionaries(st.sampled_from("abc"), JSON)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the table of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_returns_the_results_of_its_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@given(MAPS, MAPS)
def test_merge_patch_is_idempotent(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(MAPS)
def test_an_object_is_the_patch_that_makes_it(obj: Any) -> None:
    assert merge_patch({}, obj) == obj


def test_json_patch_adds_replaces_and_removes() -> None:
    operations = [
        {"op": "add", "path": "/metadata/labels", "value": {"a/b": "1", "c~d": "2"}},
        {"op": "replace", "path": "/metadata/labels/a~1b", "value": "3"},
        {"op": "remove", "path": "/metadata/labels/c~0d"},
        {"op": "add", "path": "/spec/list/0", "value": "2"},
        {"op": "add", "path": "/spec/list/-", "value": "end"},
        {"op": "remove", "path": "/spec/list/1"},
    ]
    document = {"metadata": {}, "spec": {"list": ["x"]}}
    result = {"metadata": {"labels": {"a/b": "3"}}, "spec": {"list": ["2", "end"]}}
    assert json_patch(document, operations) == result
    assert document == {"metadata": {}, "spec": {"list": ["x"]}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": "2"},
        {"op": "test", "path": "/t", "value": 1},
        {"op": "test", "path": "/missing", "value": "1"},
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/missing/deeper", "value": 1},
        {"op": "add", "path": "/l/3", "value": 1},
        {"op": "remove", "path": "/l/-"},
        {"op": "remove", "path": "/l/01"},
        {"op": "add", "path": "/a/b", "value": 1},
    ],
    ids=str,
)
def test_a_patch_that_does_not_match_the_document_has_no_effect(operation: Any) -> None:
    document: Any = {"a": "1", "t": True, "l": [0, 1], "m": {}}
    with pytest.raises(PatchFailedError):
        json_patch(document, [{"op": "add", "path": "/done", "value": 1}, operation])
    assert "done" not in document


@pytest.mark.parametrize(
    "patch",
    [
        {},
        "x",
        [1],
        [{"op": "add"}],
        [{"op": "fly", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "copy", "from": "/b", "path": "/a"}],
    ],
    ids=str,
)
def test_a_malformed_patch_is_another_error_than_a_failed_patch(patch: Any) -> None:
    with pytest.raises(MalformedPatchError):
        json_patch({}, patch)


@given(MAPS)
def test_a_test_of_the_whole_document_succeeds_only_for_an_equal_document(document: Any) -> None:
    assert json_patch(document, [{"op": "test", "path": "", "value": document}]) == document
    with pytest.raises(PatchFailedError):
        json_patch(document, [{"op": "test", "path": "", "value": {**document, "z": 1}}])
