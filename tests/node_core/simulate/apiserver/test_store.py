import threading
from typing import Any

import pytest

from node_core.simulate.apiserver.status import ApiError
from node_core.simulate.apiserver.store import Store

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


def test_what_comes_out_is_a_copy() -> None:
    store = Store()
    store.create("nodes", named("a"))["spec"]["broken"] = 1
    store.list("nodes")[0][0]["spec"]["broken"] = 1
    store.get("nodes", "a")["spec"]["broken"] = 1
    assert store.get("nodes", "a")["spec"] == {}


def test_a_write_that_changes_nothing_makes_no_version_and_no_event() -> None:
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


def test_twice_the_same_name_is_refused_once_per_namespace() -> None:
    store = Store()
    store.create("pods", named("a", namespace="x"))
    store.create("pods", named("a", namespace="y"))
    with pytest.raises(ApiError, match='pods "a" already exists'):
        store.create("pods", named("a", namespace="x"))
    assert len(store.list("pods")[0]) == 2
    assert len(store.list("pods", "x")[0]) == 1


def test_finalizers_hold_a_deleted_object_until_the_last_is_gone() -> None:
    store = Store()
    store.create("nodes", named("a", finalizers=["x"]))
    assert "deletionTimestamp" in store.delete("nodes", "a")["metadata"]
    assert "deletionTimestamp" in store.get("nodes", "a")["metadata"]
    store.mutate("nodes", "a", lambda obj: {**obj, "metadata": {**obj["metadata"], "finalizers": []}})
    with pytest.raises(ApiError, match='nodes "a" not found'):
        store.get("nodes", "a")


def test_a_dry_run_changes_nothing() -> None:
    store = Store()
    store.create("nodes", named("a"), dry_run=True)
    assert store.list("nodes")[0] == []
    store.create("nodes", named("a"))
    assert store.mutate("nodes", "a", with_spec(1), dry_run=True)["spec"] == {"value": 1}
    store.delete("nodes", "a", dry_run=True)
    assert store.get("nodes", "a")["spec"] == {}


def test_events_tell_every_change_since_a_version() -> None:
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


def test_a_version_that_the_history_forgot_is_gone() -> None:
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


def test_a_version_from_another_store_is_gone() -> None:
    with pytest.raises(ApiError, match="too old resource version"):
        Store().events({"nodes"}, 1000, timeout=0)


def test_a_waiting_reader_is_woken_by_a_change_and_by_an_interruption() -> None:
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
    assert waiting.wait(10)
    store.create("nodes", named("a"))
    assert got_one.wait(10)
    stop.set()
    store.wake()
    reader.join(10)
    assert not reader.is_alive()
    assert seen == [store.version]


def test_many_writers_lose_no_update() -> None:
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


def test_a_restored_store_has_what_there_was_and_counts_on_from_then() -> None:
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
