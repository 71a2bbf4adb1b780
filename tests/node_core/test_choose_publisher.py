"""What --publish names, with what each agent has to say there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.assembly import Destination, Edges, choose_publisher
from node_core.domain.features import Features
from node_core.domain.node_feature import WORKER_PREFIX
from node_core.domain.outputs import NodeOutputs
from node_core.runtime.settings import CommonSettings
from node_core.simulate.apiserver import ApiServer

LABELS = {"example.com/l": "1"}
FEATURES = Features(flags={"a.b": frozenset({"C"})})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def edges(server: ApiServer, tmp_path: Path) -> Edges:
    assert server.url
    common = CommonSettings(
        node_name="n1",
        kubeconfig=str(tmp_path / "kubeconfig"),
        simulate=None,
        host_root=tmp_path,
        oneshot=True,
        interval=None,
        address="",
        log_format="text",
        log_level="info",
        lock_dir=tmp_path,
    )
    return Edges(common, "nfd-lite")


def publish(edges: Edges, destination: Destination, **options: Any) -> None:
    publisher = choose_publisher(edges, destination, edges.common.host_root / "features", "nfd-lite", **options)
    publisher.refresh()
    assert publisher.known() == {}
    assert publisher.publish(LABELS)
    assert not publisher.publish(LABELS)


def test_the_node_gets_labels_and_the_annotations_of_the_outputs(edges: Edges) -> None:
    publish(edges, "node", outputs=lambda: NodeOutputs(annotations={"example.com/a": "2"}))
    view = edges.node.api.get()
    assert (view.applied_by("nfd-lite"), view.annotations_by("nfd-lite")) == (LABELS, {"example.com/a": "2"})


def test_a_node_feature_is_named_as_its_agent_has_it_and_says_its_features(edges: Edges, server: ApiServer) -> None:
    publish(edges, "node-feature", namespace="default", prefix=WORKER_PREFIX, features=lambda: FEATURES)
    publish(edges, "node-feature", namespace="default")
    objects = {item["metadata"]["name"]: item for item in server.store.list("nodefeatures.nfd.k8s-sigs.io")[0]}
    assert objects.keys() == {"n1", "nvidia-features-for-n1"}
    assert objects["n1"]["spec"]["features"]["flags"] == {"a.b": {"elements": {"C": {}}}}
    assert len(edges.feature_links) == 2


def test_a_file_gets_labels_alone(edges: Edges) -> None:
    publish(edges, "file", outputs=lambda: NodeOutputs(annotations={"example.com/a": "2"}))
    assert (edges.common.host_root / "features").read_text() == "example.com/l=1\n"
