"""A cluster that is restored from a backup: versions go back and stay there, and what we wrote since is gone. The next look finds that."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.domain.outputs import NodeOutputs
from node_core.domain.taints import Taint
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.kube.watch import NodeWatch, ObjectWatch
from node_core.publish.node import NodePublisher
from node_core.publish.node_feature import NodeFeaturePublisher
from node_core.publish.outputs import OutputsPublisher
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.patch import merge_patch
from node_core.simulate.apiserver.resources import Resource, resource_named
from node_core.simulate.apiserver.store import Backup
from node_core.simulate.apiserver.writes import Target, Writer

QUICK = Backoff(first=0.01, most=0.05)
LABELS = {"a": "1"}
OUTPUTS = NodeOutputs(
    annotations={"example.com/b": "2"},
    extended_resources={"example.com/fpga": "3"},
    taints=(Taint(key="example.com/t", effect="NoSchedule"),),
)
FEATURES = resource_named("nodefeatures.nfd.k8s-sigs.io")


class Cluster:
    """One whose objects change often, and that goes back to what it was before."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.api = NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="t")

    def goes_on(self) -> Backup:
        """A backup, and then so many writes that the restored cluster will not get there."""
        backup = self.server.store.backup()
        for number in range(50):
            self.person_patches(resource_named("nodes"), "n1", {"metadata": {"annotations": {"time": str(number)}}})
        return backup

    def is_restored(self, backup: Backup) -> None:
        self.server.stop()
        self.server.store.restore(backup)
        self.server.start()

    def person_patches(self, resource: Resource, name: str, patch: dict[str, Any]) -> None:
        namespace = "default" if resource.namespaced else ""
        target = Target(resource=resource, namespace=namespace, name=name)
        self.server.api.update(target, lambda obj: merge_patch(obj, patch), Writer(manager="kubectl"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        yield Cluster(server, tmp_path / "kubeconfig")


def follow(seen: Callable[[Any], None], states: "queue.Queue[Any]", true: Callable[[], bool]) -> None:
    """Takes in what a watch brings until something holds."""
    while not true():
        seen(states.get(timeout=10))


def test_labels_annotations_taints_and_resources_are_put_back_and_followed_on(cluster: Cluster) -> None:
    publisher = OutputsPublisher(
        NodePublisher(cluster.api, "nfd-lite", outputs=lambda: OUTPUTS),
        outputs=lambda: OUTPUTS,
        taints=TaintKeeper(cluster.api, "nfd-lite"),
        resources=ResourceKeeper(cluster.api, "nfd-lite"),
    )
    states: queue.Queue[NodeView] = queue.Queue()
    watch = NodeWatch(cluster.api, seen=states.put, failed=lambda _: None, backoff=QUICK)
    watch.start()
    try:
        publisher.observe(states.get(timeout=10))
        backup = cluster.goes_on()
        publisher.publish(LABELS)
        follow(publisher.observe, states, lambda: states.empty() and publisher.is_current(LABELS))
        cluster.is_restored(backup)
        follow(publisher.observe, states, lambda: not publisher.is_current(LABELS))
        assert publisher.publish(LABELS)
        follow(publisher.observe, states, lambda: states.empty() and publisher.is_current(LABELS))
        patch = {
            "metadata": {"labels": {"a": None}, "annotations": {"example.com/b": None}},
            "spec": {"taints": None},
        }
        for _ in range(3):
            cluster.person_patches(resource_named("nodes"), "n1", patch)
            follow(publisher.observe, states, lambda: not publisher.is_current(LABELS))
            assert publisher.publish(LABELS)
    finally:
        watch.stop()
    view = cluster.api.get()
    assert (view.applied_by("nfd-lite"), view.annotations_by("nfd-lite")) == (LABELS, dict(OUTPUTS.annotations))
    assert view.capacity_by("nfd-lite") == dict(OUTPUTS.extended_resources)
    assert [taint["key"] for taint in view.taints] == ["example.com/t"]


def test_a_node_feature_is_put_back_and_followed_on(cluster: Cluster) -> None:
    api = NodeFeatureApi(cluster.api, namespace="default")
    publisher = NodeFeaturePublisher(api, cluster.api, "nfd-lite")
    states: queue.Queue[NodeFeatureView | None] = queue.Queue()
    watch = ObjectWatch(api, seen=states.put, failed=lambda _: None, backoff=QUICK)
    publisher.refresh()
    publisher.publish({"a": "0"})
    watch.start()
    try:
        publisher.seen(states.get(timeout=10))
        backup = cluster.goes_on()
        publisher.publish(LABELS)
        cluster.is_restored(backup)
        follow(publisher.seen, states, lambda: not publisher.is_current(LABELS))
        assert publisher.publish(LABELS)
        follow(publisher.seen, states, lambda: states.empty() and publisher.is_current(LABELS))
        for value in ("7", "8", "9"):
            cluster.person_patches(FEATURES, "n1", {"spec": {"labels": {"a": value}}})
            follow(publisher.seen, states, lambda: not publisher.is_current(LABELS))
            assert publisher.publish(LABELS)
    finally:
        watch.stop()
    assert cluster.server.store.get(FEATURES.name, "n1", "default")["spec"]["labels"] == LABELS
