"""FieldsV1 and the comparison of objects."""

from hypothesis import given
from hypothesis import strategies as st

from simulation.apiserver.fields import difference, parse_fields, render_fields, show_path, without_paths

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}'])


@given(st.frozensets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=12))
def test_fields_v1_parses_to_the_paths_that_it_was_rendered_from(paths: frozenset[tuple[str, ...]]) -> None:
    assert frozenset(parse_fields(render_fields(paths))) == paths


def test_a_path_with_other_paths_below_has_the_member_dot() -> None:
    assert render_fields([("f:a",), ("f:a", "f:b")]) == {"f:a": {".": {}, "f:b": {}}}


def test_a_path_is_shown_as_by_kube_apiserver() -> None:
    assert show_path(("f:spec", "f:containers", 'k:{"name":"c"}', "f:image")) == '.spec.containers[name="c"].image'


def test_fields_that_the_server_sets_are_not_a_difference() -> None:
    old = {"metadata": {"name": "n", "resourceVersion": "1", "managedFields": []}}
    new = {"metadata": {"name": "n", "resourceVersion": "2", "uid": "u", "managedFields": [{}]}}
    assert not difference(old, new, "Node").changed


def test_true_and_one_are_different() -> None:
    assert difference({"spec": {"a": 1}}, {"spec": {"a": True}}, "Node").changed == {("f:spec", "f:a")}


def test_removing_a_leaf_removes_empty_maps_except_at_the_top_level() -> None:
    obj = {"kind": "Node", "metadata": {"labels": {"a": "1"}}, "spec": {"x": {"y": 1}}}
    gone = frozenset([("f:metadata", "f:labels", "f:a"), ("f:spec", "f:x", "f:y")])
    assert without_paths(obj, gone, "Node") == {"kind": "Node", "metadata": {}, "spec": {}}
