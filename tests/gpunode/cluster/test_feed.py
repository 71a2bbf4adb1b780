"""Nodes, and Pods with devices, followed in a simulated cluster."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gpunode.cluster import claim_feed
from gpunode.cluster.claim_devices import select_devices
from gpunode.cluster.connection import Connection
from gpunode.cluster.feed import ClusterFeed, is_equal, parse_node, parse_pod
from gpunode.cluster.fleet import Holder
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resource_claims import read_resource_version
from simulation.apiserver import ApiServer
from tests.gpunode.recorded import load_cluster
from tests.waiting import until

GPU = "nvidia.com/gpu"
Follow = Callable[..., ClusterFeed]


def add_pod(server: ApiServer, name: str, resource: str, node: str = "x") -> None:
    container = {"name": "c", "image": "i", "resources": {"limits": {resource: "1"}}}
    spec = {"nodeName": node, "containers": [container]}
    server.store.create("pods", {"metadata": {"name": name, "namespace": "n"}, "spec": spec, "status": {}})


@pytest.fixture
def follow(connection: Connection) -> Iterator[Follow]:
    """follow(**options): a feed that is started. The time is always 100 s."""
    feeds: list[ClusterFeed] = []

    def start(**options: Any) -> ClusterFeed:
        feeds.append(ClusterFeed(connection.api, clock=lambda: 100.0, **options))
        feeds[-1].start()
        return feeds[-1]

    yield start
    for each in feeds:
        each.stop()


def test_only_pods_with_devices_are_cached(server: ApiServer, follow: Follow) -> None:
    server.add_node("x")
    for name, resource in (("b", GPU), ("a", GPU), ("c", "cpu")):
        add_pod(server, name, resource)
    feed = follow()
    feed.wait_for_lists()
    snapshot = feed.snapshot()
    assert list(snapshot.nodes) == ["x"]
    assert set(snapshot.pods) == {"n/a", "n/b"}
    assert snapshot.pods_by_node() == {
        "x": [Holder(namespace="n", name=name, resources={GPU: 1}) for name in ("a", "b")]
    }


def test_a_pod_with_a_claim_for_an_extended_resource_of_another_domain_is_cached() -> None:
    claim = {"resourceClaimName": "c", "requestMappings": []}
    obj = {
        "metadata": {"name": "a", "namespace": "n"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"example.com/gpu": "1"}}}]},
        "status": {"phase": "Running", "extendedResourceClaimStatus": claim},
    }
    assert parse_pod(obj, 1) is not None
    assert parse_pod({**obj, "status": {"phase": "Succeeded", "extendedResourceClaimStatus": claim}}, 1) is None


def test_a_pending_pod_is_cached_and_has_no_devices(server: ApiServer, follow: Follow) -> None:
    add_pod(server, "a", GPU, node="")
    feed = follow()
    feed.wait_for_lists()
    assert list(feed.snapshot().pods) == ["n/a"]
    assert feed.snapshot().pods_by_node() == {}


def test_changes_of_pods_are_followed(server: ApiServer, follow: Follow) -> None:
    add_pod(server, "a", GPU)
    feed = follow()
    feed.wait_for_lists()
    add_pod(server, "b", "cpu")
    add_pod(server, "c", GPU)
    until(lambda: set(feed.snapshot().pods) == {"n/a", "n/c"})
    server.store.mutate("pods", "a", lambda pod: {**pod, "status": {"phase": "Succeeded"}}, namespace="n")
    until(lambda: set(feed.snapshot().pods) == {"n/c"})


def test_nodes_are_selected_by_label(server: ApiServer, follow: Follow) -> None:
    server.add_node("x", labels={"team": "a"})
    server.add_node("y")
    feed = follow(selector="team=a")
    feed.wait_for_lists()
    assert list(feed.snapshot().nodes) == ["x"]


def test_listeners_get_each_version_once_and_in_order(server: ApiServer, follow: Follow) -> None:
    seen: list[int] = []
    feed = follow(listeners=[lambda snapshot: seen.append(snapshot.version)])
    feed.wait_for_lists()
    server.add_node("x")
    until(lambda: "x" in feed.snapshot().nodes)
    assert seen == list(range(1, feed.version + 1))


def test_a_heartbeat_is_not_a_new_version(server: ApiServer, follow: Follow) -> None:
    def heartbeat(minute: int) -> dict[str, Any]:
        return {
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": f"2026-01-01T00:0{minute}:00Z"}]
        }

    server.add_node("x")
    server.store.mutate("nodes", "x", lambda node: {**node, "status": heartbeat(0)})
    feed = follow()
    feed.wait_for_lists()
    version = feed.version
    server.store.mutate("nodes", "x", lambda node: {**node, "status": heartbeat(5)})
    server.add_node("y")
    until(lambda: "y" in feed.snapshot().nodes)
    assert feed.version == version + 1


def test_objects_are_equal_if_their_parsed_fields_are() -> None:
    before = {"a": parse_node({"metadata": {"name": "a", "resourceVersion": "1"}}, 0)}
    assert is_equal(before, {"a": parse_node({"metadata": {"name": "a", "resourceVersion": "2"}}, 0)})
    assert not is_equal(before, {"a": parse_node({"metadata": {"name": "a", "labels": {"x": "y"}}}, 0)})
    assert not is_equal(before, {})
    assert not is_equal(None, {})


def test_a_missing_right_ends_the_wait(server: ApiServer, follow: Follow) -> None:
    server.fail_next(2, 403)
    with pytest.raises(KubeError, match="you are not permitted to list"):
        follow().wait_for_lists()


def test_all_missing_rights_are_named(server: ApiServer, follow: Follow) -> None:
    server.fail_next(1000, 403)
    feed = follow()
    until(lambda: len(feed.snapshot().problems) == 2)
    problems = feed.snapshot().problems
    assert str(problems["nodes"].error).startswith("you are not permitted to list nodes: ")
    assert "gpunode-viewer" in str(problems["pods"].error)


def test_after_a_failure_the_objects_remain_with_the_problem_and_its_time(server: ApiServer, follow: Follow) -> None:
    server.add_node("x")
    feed = follow()
    feed.wait_for_lists()
    server.stop()
    until(lambda: feed.snapshot().problems)
    snapshot = feed.snapshot()
    assert snapshot.first_problem is not None
    assert snapshot.first_problem.since == 100
    assert list(snapshot.nodes) == ["x"]
    server.start()
    until(lambda: not feed.snapshot().problems)


def test_claims_are_followed_from_the_first_node_that_needs_them(server: ApiServer, follow: Follow) -> None:
    server.add_node("x")
    feed = follow()
    feed.wait_for_lists()
    assert not [path for _, path in server.requests if "resource.k8s.io" in path]
    load_cluster(server, "dra")
    until(lambda: feed.snapshot().is_complete and feed.snapshot().slices)
    snapshot = feed.snapshot()
    devices = select_devices(snapshot.slices.values(), snapshot.claims.values())
    assert {each.name: each.pods for each in devices["dra-1"]}["gpu-2"] == ("team/web-a", "team/web-b")
    assert "ops/admin" not in snapshot.claims
    assert "team/wants-two" in snapshot.pods
    server.store.delete("resourceclaims.resource.k8s.io", "shared", namespace="team")
    until(lambda: "team/shared" not in feed.snapshot().claims)
    assert (
        sum(count for (verb, path), count in server.requests.items() if verb == "list" and "resource.k8s.io" in path)
        == 2
    )


def test_nodes_that_need_claims_before_the_pods_are_followed(
    server: ApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each informer is started once, also when those of the claims start while `start` is still at the Nodes."""
    started: list[str] = []
    start = Informer.start

    def start_slowly(informer: Informer[Any]) -> None:
        start(informer)
        started.append(informer.resource.description)
        if informer.resource.description == "nodes":
            until(lambda: {"resourceslices", "resourceclaims"} <= set(started))

    monkeypatch.setattr(Informer, "start", start_slowly)
    load_cluster(server, "dra")
    follow().wait_for_lists()
    assert sorted(started) == ["nodes", "pods", "resourceclaims", "resourceslices"]


def test_a_cluster_without_dra_has_no_claims(
    server: ApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> str:
        raise KubeError("the API server has no resource.k8s.io", status=404)

    monkeypatch.setattr(claim_feed, "read_resource_version", refuse)
    server.add_node("x", labels={f"{GPU}.present": "true"})
    feed = follow()
    feed.wait_for_lists()
    assert (feed.snapshot().slices, feed.snapshot().problems, feed.snapshot().claim_problem) == ({}, {}, "")


def test_a_missing_right_for_claims_is_a_problem_of_the_nodes_only(
    server: ApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter((503,))

    def refuse(_: object) -> str:
        raise KubeError("refused", status=next(errors, 403))

    monkeypatch.setattr(claim_feed, "read_resource_version", refuse)
    server.add_node("x", labels={f"{GPU}.present": "true"})
    feed = follow()
    with pytest.raises(KubeError, match="refused"):
        feed.wait_for_lists()
    until(lambda: feed.snapshot().problems == {})
    assert feed.snapshot().claim_problem.startswith(
        "ResourceSlices or ResourceClaims were not read: you are not permitted"
    )


def test_an_api_server_that_fails_before_the_claims_are_read_is_a_problem_until_it_responds(
    server: ApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, fails = read_resource_version, threading.Event()

    def fail_once(api: ApiClient) -> str:
        if not fails.is_set():
            fails.set()
            raise KubeError("overloaded", status=503)
        return read(api)

    monkeypatch.setattr(claim_feed, "read_resource_version", fail_once)
    load_cluster(server, "dra")
    feed = follow()
    with pytest.raises(KubeError, match="overloaded"):
        feed.wait_for_lists()
    until(lambda: feed.snapshot().is_complete and not feed.snapshot().problems)
    assert len(feed.snapshot().slices) == 3
