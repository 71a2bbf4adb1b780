"""The store: versions, history, watches, backups."""

import threading
from typing import Any

import pytest

from simulation.apiserver.status import ApiError
from simulation.apiserver.store import Store

Obj = dict[str, Any]


def named(name: str, **more: Any) -> Obj:
    return {"kind": "Node", "metadata": {"name": name, **more}, "spec": {}}


def with_spec(value: int) -> Any:
    return lambda obj: {**obj, "spec": {"value": value}}


def test_a_created_object_has_uid_time_and_version() -> None:
    store = Store()
    made = store.create("nodes", named("a"))
    assert made == store.get("nodes", "a")
    assert {"uid", "creationTimestamp", "resourceVersion"} <= made["metadata"].keys()
    assert int(made["metadata"]["resourceVersion"]) == store.version


def test_events_name_the_field_manager_of_the_write() -> None:
    store = Store()
    start = store.version
    store.create("nodes", named("a"), manager="kubelet")
    store.mutate("nodes", "a", with_spec(1), manager="kubectl-edit")
    store.delete("nodes", "a", manager="kubectl")
    assert [each.manager for each in store.events(["nodes"], start, timeout=0)[0]] == [
        "kubelet",
        "kubectl-edit",
        "kubectl",
    ]


def test_returned_objects_are_copies() -> None:
    store = Store()
    store.create("nodes", named("a"))["spec"]["broken"] = 1
    store.list("nodes")[0][0]["spec"]["broken"] = 1
    store.get("nodes", "a")["spec"]["broken"] = 1
    assert store.get("nodes", "a")["spec"] == {}


def test_a_write_without_a_change_makes_no_version_and_no_event() -> None:
    store = Store()
    store.create("nodes", named("a"))
    before = store.version
    store.mutate("nodes", "a", lambda obj: obj)
    assert store.version == before


def test_a_stale_write_is_a_conflict() -> None:
    store = Store()
    old = store.create("nodes", named("a"))
    store.mutate("nodes", "a", with_spec(1))
    with pytest.raises(ApiError, match="the object has been modified") as refused:
        store.mutate("nodes", "a", lambda _: {**old, "spec": {"value": 2}})
    assert refused.value.status == 409


def test_a_write_for_another_uid_is_a_conflict() -> None:
    store = Store()
    store.create("nodes", named("a"))
    with pytest.raises(ApiError, match="UID in precondition"):
        store.mutate("nodes", "a", lambda obj: {**obj, "metadata": {**obj["metadata"], "uid": "other"}})


def test_a_name_can_exist_once_in_each_namespace() -> None:
    store = Store()
    store.create("pods", named("a", namespace="x"))
    store.create("pods", named("a", namespace="y"))
    with pytest.raises(ApiError, match='pods "a" already exists'):
        store.create("pods", named("a", namespace="x"))
    assert len(store.list("pods")[0]) == 2
    assert len(store.list("pods", "x")[0]) == 1


def test_events_are_all_changes_since_a_version() -> None:
    store = Store()
    start = store.version
    store.create("nodes", named("a"))
    store.create("pods", named("p", namespace="x"))
    store.mutate("nodes", "a", with_spec(1))
    store.delete("nodes", "a")
    events, version = store.events({"nodes"}, start, timeout=0)
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event.before is None for event in events] == [True, False, False]
    assert version == store.version


def test_a_version_before_the_history_is_expired() -> None:
    store = Store(history=2)
    start = store.version
    for name in "abc":
        store.create("nodes", named(name))
    with pytest.raises(ApiError) as refused:
        store.events({"nodes"}, start, timeout=0)
    assert (refused.value.status, refused.value.reason) == (410, "Expired")
    assert [event.object["metadata"]["name"] for event in store.events({"nodes"}, start + 1, timeout=0)[0]] == [
        "b",
        "c",
    ]


def test_a_version_of_another_store_is_expired() -> None:
    with pytest.raises(ApiError, match="too old resource version"):
        Store().events({"nodes"}, 1000, timeout=0)


def test_a_change_and_an_interruption_end_the_wait_of_a_reader() -> None:
    store, stop = Store(), threading.Event()
    seen: list[int] = []

    def read() -> None:
        version = store.version
        waiting.set()
        while not stop.is_set():
            events, version = store.events({"nodes"}, version, timeout=30, interrupted=stop.is_set)
            seen.extend(event.version for event in events)
            if events:
                got_one.set()

    waiting, got_one = threading.Event(), threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    assert waiting.wait(60)
    store.create("nodes", named("a"))
    assert got_one.wait(60)
    stop.set()
    store.wake()
    reader.join(60)
    assert not reader.is_alive()
    assert seen == [store.version]


def test_concurrent_writers_lose_no_update() -> None:
    store = Store()
    store.create("nodes", {**named("a"), "spec": {"count": 0}})

    def count_up() -> None:
        for _ in range(50):
            store.mutate("nodes", "a", lambda obj: {**obj, "spec": {"count": obj["spec"]["count"] + 1}})

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("nodes", "a")["spec"] == {"count": 200}


def test_a_restored_store_continues_from_the_version_of_the_backup() -> None:
    store = Store()
    store.create("nodes", named("a"))
    backup = store.backup()
    store.mutate("nodes", "a", with_spec(1))
    store.create("nodes", named("b"))
    then = store.version
    store.restore(backup)
    assert [item["spec"] for item in store.list("nodes")[0]] == [{}]
    assert store.version == backup.version < then
    with pytest.raises(ApiError) as expired:
        store.events(["nodes"], then, timeout=0)
    assert expired.value.status == 410
    assert int(store.mutate("nodes", "a", with_spec(2))["metadata"]["resourceVersion"]) == backup.version + 1
