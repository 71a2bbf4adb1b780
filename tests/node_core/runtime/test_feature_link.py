"""The NodeFeature object of an agent in a process: as an NFD worker writes it, or as GPU Feature Discovery does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.features import Features
from node_core.domain.node_feature import WORKER_PREFIX
from node_core.runtime.feature_link import FeatureLink
from node_core.runtime.node_link import NodeLink
from node_core.simulate.apiserver import ApiServer
from node_core.version import VERSION

LABELS = {"feature.node.kubernetes.io/x": "true"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def node(server: ApiServer, tmp_path: Path) -> NodeLink:
    assert server.url
    return NodeLink("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="t")


def published(server: ApiServer, link: FeatureLink) -> dict[str, Any]:
    link.publisher.refresh()
    assert link.publisher.publish(LABELS)
    ((obj,), _) = server.store.list("nodefeatures.nfd.k8s-sigs.io")
    return obj


def test_an_nfd_workers_object_has_the_nodes_name_its_features_and_the_workers_version(
    server: ApiServer, node: NodeLink
) -> None:
    features = Features(attributes={"kernel.version": {"major": "6"}})
    link = FeatureLink(node, "nfd-lite", namespace="default", prefix=WORKER_PREFIX, features=lambda: features)
    obj = published(server, link)
    assert obj["metadata"]["name"] == "n1"
    assert obj["metadata"]["annotations"] == {"nfd.node.kubernetes.io/worker.version": VERSION}
    assert obj["metadata"]["labels"] == {"nfd.node.kubernetes.io/node-name": "n1"}
    assert [owner["kind"] for owner in obj["metadata"]["ownerReferences"]] == ["Node"]
    assert obj["spec"]["features"]["attributes"] == {"kernel.version": {"elements": {"major": "6"}}}
    assert obj["spec"]["labels"] == LABELS


def test_features_that_change_are_published_and_those_that_do_not_are_not(server: ApiServer, node: NodeLink) -> None:
    found = [Features(attributes={"a.b": {"c": "1", "d": "1"}})]
    link = FeatureLink(node, "nfd-lite", namespace="default", prefix=WORKER_PREFIX, features=lambda: found[-1])
    published(server, link)
    found.append(Features(attributes={"a.b": {"c": "2"}}, flags={"e.f": frozenset({"G"})}))
    assert link.publisher.publish(LABELS)
    assert not link.publisher.publish(LABELS)
    ((obj,), _) = server.store.list("nodefeatures.nfd.k8s-sigs.io")
    assert obj["spec"]["features"]["attributes"] == {"a.b": {"elements": {"c": "2"}}}


def test_gfds_object_has_its_prefix_and_says_of_no_worker(server: ApiServer, node: NodeLink) -> None:
    obj = published(server, FeatureLink(node, "gfd", namespace="default"))
    assert obj["metadata"]["name"] == "nvidia-features-for-n1"
    assert "annotations" not in obj["metadata"]
