"""A cluster that is restored from a backup: versions are lower than before, and later writes are lost. The next read discovers that."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.domain.desired import Outputs
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, Taint
from node_core.kube.client import NodeApi
from node_core.kube.informer import Informer
from node_core.kube.node_feature import NodeFeatureApi
from node_core.kube.resources import node
from node_core.publish.node import NodeWriter
from node_core.publish.node_feature import NodeFeatureWriter
from simulation.apiserver import ApiServer
from simulation.apiserver.patch import merge_patch
from simulation.apiserver.resources import Resource, resource_named
from simulation.apiserver.store import Backup
from simulation.apiserver.writes import Target, Writer
from tests.node_core.publish.publishing import Publishing

QUICK = Backoff(first=0.01, maximum=0.05)
LABELS = {"a": "1"}
OWNER = FieldOwner(manager="nfd-lite", taints_annotation=GFD_TAINTS_ANNOTATION)
TAINT = Taint(key="example.com/t", effect="NoSchedule")
OUTPUTS = Outputs(
    annotations={"example.com/b": "2"},
    extended_resources={"example.com/fpga": "3"},
    taints={TAINT.identity: TAINT},
)
FEATURES = resource_named("nodefeatures.nfd.k8s-sigs.io")


class Cluster:
    """An API server whose objects change often, and that can be restored from a backup."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.api = NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="t")

    def goes_on(self) -> Backup:
        """Takes a backup, and then writes so often that the restored cluster does not reach these versions."""
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
    """Handles events of the watch until the condition is true."""
    while not true():
        seen(states.get(timeout=60))


def test_labels_annotations_taints_and_resources_are_restored(cluster: Cluster) -> None:
    publisher = Publishing(NodeWriter(cluster.api, OWNER), OUTPUTS)
    states: queue.Queue[NodeView] = queue.Queue()
    informer = Informer(
        cluster.api,
        node("n1"),
        on_change=lambda nodes: states.put(nodes["n1"]),
        on_error=lambda _: None,
        backoff=QUICK,
    )
    informer.start()
    try:
        publisher.writer.observe(states.get(timeout=60))
        backup = cluster.goes_on()
        publisher.publish(LABELS)
        follow(publisher.writer.observe, states, lambda: states.empty() and publisher.is_current(LABELS))
        cluster.is_restored(backup)
        follow(publisher.writer.observe, states, lambda: not publisher.is_current(LABELS))
        assert publisher.publish(LABELS)
        follow(publisher.writer.observe, states, lambda: states.empty() and publisher.is_current(LABELS))
        patch = {
            "metadata": {"labels": {"a": None}, "annotations": {"example.com/b": None}},
            "spec": {"taints": None},
        }
        for _ in range(3):
            cluster.person_patches(resource_named("nodes"), "n1", patch)
            follow(publisher.writer.observe, states, lambda: not publisher.is_current(LABELS))
            assert publisher.publish(LABELS)
    finally:
        informer.stop()
    view = cluster.api.get()
    assert (view.labels_by("nfd-lite"), view.annotations_by("nfd-lite")) == (LABELS, dict(OUTPUTS.annotations))
    assert view.capacity_by("nfd-lite") == dict(OUTPUTS.extended_resources)
    assert [taint["key"] for taint in view.taints] == ["example.com/t"]


def test_a_node_feature_is_restored(cluster: Cluster) -> None:
    api = NodeFeatureApi(cluster.api, namespace="default")
    publisher = Publishing(NodeFeatureWriter(api, cluster.api, OWNER))
    states: queue.Queue[NodeFeatureView | None] = queue.Queue()
    informer = Informer(
        cluster.api,
        api.resource,
        on_change=lambda objects: states.put(objects.get("default/n1")),
        on_error=lambda _: None,
        backoff=QUICK,
    )
    publisher.writer.refresh()
    publisher.publish({"a": "0"})
    informer.start()
    try:
        publisher.writer.observe_object(states.get(timeout=60))
        backup = cluster.goes_on()
        publisher.publish(LABELS)
        cluster.is_restored(backup)
        follow(publisher.writer.observe_object, states, lambda: not publisher.is_current(LABELS))
        assert publisher.publish(LABELS)
        follow(publisher.writer.observe_object, states, lambda: states.empty() and publisher.is_current(LABELS))
        for value in ("7", "8", "9"):
            cluster.person_patches(FEATURES, "n1", {"spec": {"labels": {"a": value}}})
            follow(publisher.writer.observe_object, states, lambda: not publisher.is_current(LABELS))
            assert publisher.publish(LABELS)
    finally:
        informer.stop()
    assert cluster.server.store.get(FEATURES.name, "n1", "default")["spec"]["labels"] == LABELS
