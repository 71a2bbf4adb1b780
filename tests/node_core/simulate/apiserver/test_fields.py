from hypothesis import given
from hypothesis import strategies as st

from node_core.simulate.apiserver.fields import difference, parse_fields, render_fields, show_path, without_paths

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', 'v:"x"'])


@given(st.frozensets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=12))
def test_fields_v1_says_what_it_was_made_of(paths: frozenset[tuple[str, ...]]) -> None:
    assert frozenset(parse_fields(render_fields(paths))) == paths


def test_a_path_with_children_carries_the_member_mark() -> None:
    assert render_fields([("f:a",), ("f:a", "f:b")]) == {"f:a": {".": {}, "f:b": {}}}


def test_paths_are_shown_as_people_know_them() -> None:
    assert show_path(("f:spec", "f:containers", 'k:{"name":"c"}', "f:image")) == '.spec.containers[name="c"].image'
    assert show_path(("f:metadata", "f:finalizers", 'v:"x"')) == '.metadata.finalizers[="x"]'


def test_what_the_server_sets_is_no_difference() -> None:
    old = {"metadata": {"name": "n", "resourceVersion": "1", "managedFields": []}}
    new = {"metadata": {"name": "n", "resourceVersion": "2", "uid": "u", "managedFields": [{}]}}
    assert not difference(old, new, "Node").changed


def test_true_is_not_one() -> None:
    assert difference({"spec": {"a": 1}}, {"spec": {"a": True}}, "Node").changed == {("f:spec", "f:a")}


def test_removing_a_leaf_removes_the_maps_it_leaves_empty_but_not_the_top() -> None:
    obj = {"kind": "Node", "metadata": {"labels": {"a": "1"}}, "spec": {"x": {"y": 1}}}
    gone = frozenset([("f:metadata", "f:labels", "f:a"), ("f:spec", "f:x", "f:y")])
    assert without_paths(obj, gone, "Node") == {"kind": "Node", "metadata": {}, "spec": {}}
