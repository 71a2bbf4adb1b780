"""Writes of the object to the simulated API server, and the printed object."""

import io
from typing import Any

import pytest
import yaml

from nfd_lite.topology.api import TopologyApi
from nfd_lite.topology.node_topology import (
    API_VERSION,
    FINGERPRINT_ANNOTATION,
    NodeTopology,
    TopologyView,
    parse_topology,
)
from nfd_lite.topology.publisher import ApiPublisher, PrintingPublisher
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.kube.client import APPLY, NodeApi
from node_core.values import replace
from simulation.apiserver import ApiServer
from tests.nfd_lite.topology.test_node_topology import TRAINING, desired

NAME = "noderesourcetopologies.topology.node.k8s.io"
WRITE = ("patch", "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/{name}")


@pytest.fixture
def publisher(api: NodeApi) -> ApiPublisher:
    made = ApiPublisher(api)
    made.observe_node(api.get())
    made.observe(None)
    return made


def stored(server: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = server.store.get(NAME, "n1")
    return found


def writes(server: ApiServer) -> int:
    return server.requests[WRITE]


def observed(server: ApiServer) -> TopologyView:
    return parse_topology(stored(server), list_number=1)


def test_the_object_is_created_with_its_node_as_the_owner(publisher: ApiPublisher, server: ApiServer) -> None:
    assert publisher.publish(desired(TRAINING)) is True
    obj = stored(server)
    (owner,) = obj["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == (
        "Node",
        "n1",
        server.store.get("nodes", "n1")["metadata"]["uid"],
    )
    assert {entry["manager"] for entry in obj["metadata"]["managedFields"]} == {"nfd-lite-topology"}
    assert obj["topologyPolicies"] == ["SingleNUMANodePodLevel"]


@pytest.mark.parametrize("own_first", [False, True])
def test_a_fingerprint_of_another_client_is_removed_if_none_is_published(
    publisher: ApiPublisher, api: NodeApi, server: ApiServer, own_first: bool
) -> None:
    """Otherwise a scheduler would compare with the pods at the time of the other client for ever."""
    if own_first:
        publisher.publish(desired(TRAINING))
    theirs = {
        "apiVersion": API_VERSION,
        "kind": "NodeResourceTopology",
        "metadata": {"name": "n1", "annotations": {FINGERPRINT_ANNOTATION: "old"}},
        "zones": [],
        "topologyPolicies": [],
    }
    query = {"fieldManager": "nfd-topology-updater", "force": "true"}
    api.request("PATCH", WRITE[1].format(name="n1"), query=query, body=theirs, content=APPLY)
    publisher.refresh()
    without = replace(desired(TRAINING), fingerprint=None)
    assert publisher.publish(without) is True
    assert FINGERPRINT_ANNOTATION not in stored(server)["metadata"].get("annotations", {})
    assert publisher.publish(without) is False


def test_an_equal_object_is_not_written_again(publisher: ApiPublisher, server: ApiServer) -> None:
    assert [publisher.publish(desired(TRAINING)) for _ in range(3)] == [True, False, False]
    publisher.observe(observed(server))
    assert publisher.publish(desired(TRAINING)) is False
    assert writes(server) == 1
    assert publisher.publish(desired()) is True
    assert publisher.publish(desired(TRAINING)) is True
    assert writes(server) == 3


def test_a_new_process_does_not_write_an_equal_object(publisher: ApiPublisher, api: NodeApi, server: ApiServer) -> None:
    publisher.publish(desired(TRAINING))
    other = ApiPublisher(api)
    other.refresh()
    assert other.publish(desired(TRAINING)) is False
    assert writes(server) == 1


def test_a_state_that_is_older_than_the_last_write_is_ignored(publisher: ApiPublisher, server: ApiServer) -> None:
    publisher.publish(desired())
    before = observed(server)
    publisher.observe(before)
    publisher.publish(desired(TRAINING))
    publisher.observe(before)
    assert publisher.publish(desired(TRAINING)) is False


def test_a_state_between_the_first_writes_is_ignored(publisher: ApiPublisher, server: ApiServer) -> None:
    """The list of the informer did not contain the object yet."""
    publisher.publish(desired())
    between = observed(server)
    publisher.publish(desired(TRAINING))
    publisher.observe(between)
    assert publisher.publish(desired(TRAINING)) is False
    publisher.observe(observed(server))
    publisher.observe(between)
    assert publisher.publish(desired(TRAINING)) is False
    assert writes(server) == 2


def test_a_deleted_object_is_created_again(publisher: ApiPublisher, server: ApiServer) -> None:
    publisher.publish(desired())
    publisher.observe(None)  # the state before the object was created
    assert publisher.publish(desired()) is False
    server.store.delete(NAME, "n1")
    publisher.observe(None)
    assert publisher.publish(desired()) is True
    assert stored(server)["zones"]


def test_a_change_of_another_client_is_replaced(publisher: ApiPublisher, api: NodeApi, server: ApiServer) -> None:
    publisher.publish(desired())
    body: dict[str, Any] = {"zones": [], "topologyPolicies": []}
    api.request(
        "PATCH",
        "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/n1",
        body=body,
        content="application/merge-patch+json",
    )
    publisher.observe(observed(server))
    assert publisher.publish(desired()) is True
    assert len(stored(server)["zones"]) == 2


def test_fields_of_another_updater_are_taken_over(publisher: ApiPublisher, api: NodeApi, server: ApiServer) -> None:
    body = {
        "apiVersion": "topology.node.k8s.io/v1alpha2",
        "kind": "NodeResourceTopology",
        "metadata": {
            "name": "n1",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": "nfd", "uid": "x"}],
        },
        "topologyPolicies": ["None"],
        "zones": [],
    }
    query = {"fieldManager": "node-feature-discovery-topology-updater"}
    path = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/n1"
    api.request("PATCH", path, query=query, body=body, content="application/apply-patch+yaml")
    publisher.observe(observed(server))
    assert publisher.publish(desired()) is True
    obj = stored(server)
    assert obj["topologyPolicies"] == ["SingleNUMANodePodLevel"]
    assert {owner["kind"] for owner in obj["metadata"]["ownerReferences"]} == {"Namespace", "Node"}


def test_a_node_that_was_created_again_becomes_the_owner(publisher: ApiPublisher, server: ApiServer) -> None:
    publisher.publish(desired())
    publisher.observe_node(NodeView(name="n1", uid="second", resource_version="1", labels={}))
    assert publisher.publish(desired()) is True
    (owner,) = stored(server)["metadata"]["ownerReferences"]
    assert owner["uid"] == "second"


def test_nothing_is_written_while_the_node_or_the_object_is_unknown(api: NodeApi, server: ApiServer) -> None:
    publisher = ApiPublisher(api)
    publisher.observe(None)
    assert publisher.publish(desired()) is None
    publisher = ApiPublisher(api)
    publisher.observe_node(api.get())
    assert publisher.publish(desired()) is None
    assert writes(server) == 0


def test_a_fingerprint_that_is_not_desired_any_more_is_removed(publisher: ApiPublisher, server: ApiServer) -> None:
    publisher.publish(desired())
    assert "annotations" in stored(server)["metadata"]
    topology = desired()
    publisher.publish(NodeTopology(policy=topology.policy, zones=topology.zones))
    assert not stored(server)["metadata"].get("annotations")


class WithoutCrd(NodeApi):
    """A cluster without the CRD."""

    def open(self, verb: str, path: str, **request: Any) -> Any:
        if "noderesourcetopologies" in path:
            raise KubeError(f"{verb} {path}: HTTP 404: 404 page not found", status=404, hint="no such Node")
        return super().open(verb, path, **request)


def test_a_cluster_without_the_crd_is_an_error_with_what_to_do(api: NodeApi) -> None:
    topology = TopologyApi(WithoutCrd("n1", kubeconfig=api._kubeconfig, user_agent="t"))
    for send in (topology.get, lambda: topology.apply({})):
        with pytest.raises(KubeError, match=r"kubectl get crd noderesourcetopologies.*manifests/crds") as caught:
            send()
        assert "no such Node" not in str(caught.value)


def test_the_object_is_printed_when_it_changes() -> None:
    out = io.StringIO()
    publisher = PrintingPublisher("n1", out)
    assert [publisher.publish(each) for each in (desired(), desired(), desired(TRAINING))] == [True, False, True]
    first, second = yaml.safe_load_all(out.getvalue())
    assert first["metadata"]["name"] == "n1"
    assert first["zones"] != second["zones"]
