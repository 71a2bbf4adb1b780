"""Nodes and the Pods with devices, followed in a simulated cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpunode.cluster.connection import connect
from gpunode.cluster.fleet import Holder
from gpunode.nodes.feed import FleetFeed
from node_core.errors import KubeError
from simulation.apiserver import ApiServer
from tests.waiting import until

GPU = "nvidia.com/gpu"
Open = Callable[..., FleetFeed]


def add_pod(server: ApiServer, name: str, resource: str) -> None:
    container = {"name": "c", "image": "i", "resources": {"limits": {resource: "1"}}}
    spec = {"nodeName": "x", "containers": [container]}
    server.store.create("pods", {"metadata": {"name": name, "namespace": "n"}, "spec": spec, "status": {}})


@pytest.fixture
def follow(kubeconfig: Path) -> Iterator[Open]:
    """follow(selector): a feed that is started. The time is always 100 s."""
    feeds: list[FleetFeed] = []

    def start(selector: str = "") -> FleetFeed:
        feeds.append(FleetFeed(connect(str(kubeconfig)).api, selector, clock=lambda: 100.0))
        feeds[-1].start()
        return feeds[-1]

    yield start
    for each in feeds:
        each.stop()


def test_only_pods_with_devices_are_cached(server: ApiServer, follow: Open) -> None:
    server.add_node("x")
    for name, resource in (("b", GPU), ("a", GPU), ("c", "cpu")):
        add_pod(server, name, resource)
    feed = follow()
    feed.wait_for_lists()
    state = feed.state()
    assert list(state.nodes) == ["x"]
    assert set(state.pods) == {"n/a", "n/b"}
    assert state.holders() == {"x": [Holder(namespace="n", name=name, resources={GPU: 1}) for name in ("a", "b")]}


def test_changes_of_pods_are_followed(server: ApiServer, follow: Open) -> None:
    add_pod(server, "a", GPU)
    feed = follow()
    feed.wait_for_lists()
    add_pod(server, "b", "cpu")
    add_pod(server, "c", GPU)
    until(lambda: set(feed.state().pods) == {"n/a", "n/c"})
    server.store.mutate("pods", "a", lambda pod: {**pod, "status": {"phase": "Succeeded"}}, namespace="n")
    until(lambda: set(feed.state().pods) == {"n/c"})


def test_nodes_are_selected_by_label(server: ApiServer, follow: Open) -> None:
    server.add_node("x", labels={"team": "a"})
    server.add_node("y")
    feed = follow("team=a")
    feed.wait_for_lists()
    assert list(feed.state().nodes) == ["x"]


def test_a_missing_right_ends_the_wait(server: ApiServer, follow: Open) -> None:
    server.fail_next(2, 403)
    with pytest.raises(KubeError, match="you are not permitted to list"):
        follow().wait_for_lists()


def test_after_a_failure_the_objects_remain_with_the_problem_and_its_time(server: ApiServer, follow: Open) -> None:
    server.add_node("x")
    feed = follow()
    feed.wait_for_lists()
    server.stop()
    until(lambda: feed.state().problem is not None)
    state = feed.state()
    assert state.problem is not None
    assert state.problem.since == 100
    assert list(state.nodes) == ["x"]
    server.start()
    until(lambda: feed.state().problem is None)
