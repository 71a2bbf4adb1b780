"""The store contains exactly the objects of the cluster, although kopf does not report all deletions."""

from gpu_operator.view import Obj
from gpu_operator.watch.kinds import KINDS, prune_node, without_data
from gpu_operator.watch.store import ObjectStore

NODES = KINDS[0]


def obj(name: str, uid: str = "") -> Obj:
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}", "managedFields": [{}]}}


def store(*names: str) -> ObjectStore:
    made = ObjectStore()
    for name in names:
        made.observe(NODES, None, name, obj(name))
    return made


def nodes(of: ObjectStore) -> set[str]:
    of.is_complete = True
    view = of.copy_view()
    assert view is not None
    return set(view.nodes)


def test_a_store_has_no_view_before_its_first_check() -> None:
    made = store("a")
    assert made.copy_view() is None


def test_objects_that_do_not_exist_any_more_are_removed() -> None:
    made = store("a", "b")
    assert made.compare(NODES, made.uids(NODES), {"uid-a"}) == 0
    assert nodes(made) == {"a"}


def test_objects_that_kopf_has_not_reported_yet_are_counted() -> None:
    made = store("a")
    assert made.compare(NODES, made.uids(NODES), {"uid-a", "uid-b", "uid-c"}) == 2


def test_what_changes_during_the_list_is_no_difference() -> None:
    made = store("a", "b")
    before = made.uids(NODES)
    made.observe(NODES, "ADDED", "c", obj("c"))
    made.observe(NODES, "DELETED", "b", obj("b"))
    assert made.compare(NODES, before, {"uid-a", "uid-b"}) == 0
    assert nodes(made) == {"a", "c"}


def test_an_object_that_was_created_again_is_not_removed_with_the_old_one() -> None:
    made = store("a")
    before = made.uids(NODES)
    made.observe(NODES, "ADDED", "a", obj("a", "new"))
    made.observe(NODES, "DELETED", "a", obj("a"))
    made.compare(NODES, before, {"new"})
    assert nodes(made) == {"a"}


def test_a_second_list_of_kopf_is_noticed() -> None:
    made = store("a")
    assert made.observe(NODES, "MODIFIED", "a", obj("a"))
    assert made.observe(NODES, "ADDED", "b", obj("b"))
    assert made.observe(NODES, "DELETED", "b", obj("b"))
    assert made.observe(NODES, None, "c", obj("c")), "an object that is new since the first list"
    assert not made.observe(NODES, None, "a", obj("a"))


def test_a_view_does_not_change_later() -> None:
    made = store("a")
    made.is_complete = True
    view = made.copy_view()
    made.observe(NODES, "DELETED", "a", obj("a"))
    assert view is not None
    assert set(view.nodes) == {"a"}


def test_only_what_is_needed_is_retained() -> None:
    node = {
        **obj("a"),
        "spec": {},
        "status": {"images": [1], "conditions": [{"type": "Ready", "lastHeartbeatTime": "t"}]},
    }
    assert prune_node(node) == {
        "metadata": {"name": "a", "uid": "uid-a"},
        "spec": {},
        "status": {"conditions": [{"type": "Ready"}], "nodeInfo": {}},
    }
    assert without_data({**obj("a"), "data": {}, "revision": 3}) == {
        "metadata": {"name": "a", "uid": "uid-a"},
        "revision": 3,
    }


def test_the_paths_of_the_kinds() -> None:
    assert [kind.path("ns") for kind in KINDS] == [
        "/api/v1/nodes",
        "/apis/nvidia.com/v1alpha1/nvidiadrivers",
        "/apis/apps/v1/namespaces/ns/daemonsets",
        "/api/v1/namespaces/ns/pods",
        "/apis/apps/v1/namespaces/ns/controllerrevisions",
    ]
