"""Facts about Nodes, their drivers and their driver pods."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_operator.upgrade.driver_pod import newest_revisions
from gpu_operator.upgrade.facts import read_fleet
from gpu_operator.upgrade.keys import PROGRESS, STATE, State, parse_state
from gpu_operator.upgrade.progress import Progress, parse_progress, render_progress
from gpu_operator.view import COMPONENT, DRIVER_COMPONENT, OWNER, ClusterView

Obj = dict[str, Any]


def daemon_set(uid: str, driver: str, **selector: str) -> Obj:
    template = {"spec": {"nodeSelector": selector}}
    return {"metadata": {"name": uid, "uid": uid, "labels": {OWNER: driver}}, "spec": {"template": template}}


def pod(name: str, node: str, *, owner: str = "ds", revision: str = "r1", **metadata: str) -> Obj:
    labels = {COMPONENT: DRIVER_COMPONENT, "controller-revision-hash": revision}
    owners = [{"kind": "DaemonSet", "uid": owner, "controller": True}]
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": labels, "ownerReferences": owners, **metadata},
        "spec": {"nodeName": node},
    }


def revision(label: str, number: int, owner: str = "ds") -> Obj:
    owners = [{"kind": "DaemonSet", "uid": owner, "controller": True}]
    metadata = {"name": label, "labels": {"controller-revision-hash": label}, "ownerReferences": owners}
    return {"metadata": metadata, "revision": number}


def view(*pods: Obj, nodes: dict[str, Obj], sets: tuple[Obj, ...], revisions: tuple[Obj, ...] = ()) -> ClusterView:
    return ClusterView(
        nodes={name: {"metadata": {"name": name, **metadata}} for name, metadata in nodes.items()},
        drivers={"a": {}, "b": {}},
        daemon_sets={each["metadata"]["name"]: each for each in sets},
        pods={f"ns/{each['metadata']['name']}": each for each in pods},
        controller_revisions={each["metadata"]["name"]: each for each in revisions},
    )


def test_each_node_belongs_to_the_driver_of_its_pod() -> None:
    sets = (daemon_set("x", "a"), daemon_set("y", "b"))
    seen = view(pod("p1", "n1", owner="x"), pod("p2", "n2", owner="y"), nodes={"n1": {}, "n2": {}, "n3": {}}, sets=sets)
    fleet = read_fleet(seen)
    assert {driver: [each.name for each in nodes] for driver, nodes in fleet.nodes.items()} == {
        "a": ["n1"],
        "b": ["n2"],
    }
    assert fleet.released == ()


def test_without_its_pod_a_node_in_an_upgrade_belongs_to_the_daemon_set_that_selects_it() -> None:
    node = {"labels": {"os": "ubuntu", STATE: "pod-restart-required"}, "annotations": {PROGRESS: "x"}}
    sets = (daemon_set("x", "a", os="sles"), daemon_set("y", "b", os="ubuntu"), daemon_set("z", "a"))
    fleet = read_fleet(view(nodes={"n1": node}, sets=sets))
    assert [each.name for each in fleet.nodes["b"]] == ["n1"]


def test_a_pod_that_does_not_terminate_precedes_a_newer_one_that_does() -> None:
    old = pod("old", "n1", creationTimestamp="2026-01-01T00:00:00Z")
    new = pod("new", "n1", creationTimestamp="2026-01-02T00:00:00Z", deletionTimestamp="now")
    (facts,) = read_fleet(view(old, new, nodes={"n1": {}}, sets=(daemon_set("ds", "a"),))).nodes["a"]
    assert facts.pod is not None
    assert facts.pod.pod.metadata.name == "old"


def test_a_pod_whose_daemon_set_was_deleted_is_outdated_and_precedes_the_pod_that_waits_for_its_end() -> None:
    orphan, new = (
        pod("orphan", "n1", owner="gone"),
        pod("new", "n1", revision="r2", creationTimestamp="2026-01-02T00:00:00Z"),
    )
    sets, revisions = (daemon_set("ds", "a", os="ubuntu"),), (revision("r1", 1),)
    seen = view(orphan, new, nodes={"n1": {"labels": {"os": "ubuntu"}}}, sets=sets, revisions=revisions)
    (facts,) = read_fleet(seen).nodes["a"]
    assert facts.pod is not None
    assert (facts.pod.pod.metadata.name, facts.is_outdated) == ("orphan", True)


@pytest.mark.parametrize("labels", [{"os": "sles"}, {"os": "ubuntu", "nvidia.com/gpu.deploy.driver": "pre-installed"}])
def test_a_pod_whose_daemon_set_was_deleted_remains_where_no_driver_follows(labels: dict[str, str]) -> None:
    sets = (daemon_set("ds", "a", os="ubuntu"),)
    fleet = read_fleet(view(pod("p", "n1", owner="gone"), nodes={"n1": {"labels": labels}}, sets=sets))
    assert fleet.nodes == {"a": (), "b": ()}


def test_the_newest_revision_has_the_highest_number() -> None:
    revisions = (revision("r1", 3), revision("r2", 2), revision("other", 9, owner="x"), {"metadata": {"name": "alien"}})
    assert newest_revisions([daemon_set("ds", "a")], revisions) == {"ds": "r1"}


@pytest.mark.parametrize(
    ("observed", "is_known"), [({"observedGeneration": 2}, True), ({"observedGeneration": 1}, False), ({}, False)]
)
def test_a_daemon_set_whose_change_was_not_observed_yet_has_no_newest_revision(observed: Obj, is_known: bool) -> None:
    changed = daemon_set("ds", "a") | {"status": observed}
    changed["metadata"]["generation"] = 2
    assert bool(newest_revisions([changed], [revision("r1", 1)])) is is_known


@pytest.mark.parametrize(("hash_of_pod", "is_outdated"), [("r1", True), ("r3", False)])
def test_a_pod_that_precedes_its_revision_in_the_view_is_not_outdated(hash_of_pod: str, is_outdated: bool) -> None:
    revisions = (revision("r1", 1), revision("r2", 2))
    seen = view(
        pod("p", "n1", revision=hash_of_pod), nodes={"n1": {}}, sets=(daemon_set("ds", "a"),), revisions=revisions
    )
    (facts,) = read_fleet(seen).nodes["a"]
    assert (facts.is_outdated, facts.is_current) == (is_outdated, False)


def test_objects_without_a_status_are_facts_too() -> None:
    (facts,) = read_fleet(view(pod("p", "n1"), nodes={"n1": {}}, sets=(daemon_set("ds", "a"),))).nodes["a"]
    assert facts.pod is not None
    assert (facts.is_ready, facts.pod.is_ready, facts.pod.problem, facts.is_outdated) == (False, False, "", False)


@given(
    progress=st.builds(
        Progress,
        state=st.sampled_from([each for each in State if each]),
        since=st.integers(0, 1 << 40).map(float),
        revision=st.none() | st.from_regex(r"[a-z0-9]{1,10}", fullmatch=True),
    )
)
def test_progress_is_read_as_it_is_written(progress: Progress) -> None:
    assert parse_progress(render_progress(progress)) == progress


@pytest.mark.parametrize(
    "text", ["", "x", "upgrade-done", "upgrade-done 1", "upgrade-done x y", "done 1 r", "upgrade-done ² r", "9" * 400]
)
def test_progress_that_is_not_valid_is_none(text: str) -> None:
    assert parse_progress(text) is None


def test_a_time_that_is_too_large_is_none() -> None:
    assert parse_progress(f"upgrade-done {'9' * 400} r") is None


def test_unknown_states_are_the_first_state() -> None:
    assert [parse_state(text) for text in ("", "x", "upgrade-done")] == [State.UNKNOWN, State.UNKNOWN, State.DONE]
