"""Writes of one NodeFeature object: with the simulated API server, and with a cluster without the CRD."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.features import Features
from node_core.domain.node_feature import NodeFeature
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi


def test_a_node_feature_is_deleted_only_in_the_observed_version(api: NodeApi) -> None:
    feature = NodeFeatureApi(api, namespace="default")
    desired = NodeFeature(node_name="n1", node_uid="u", labels={"a": "1"})
    seen = feature.apply("gfd", desired, force=False)
    feature.apply("other", NodeFeature(node_name="n1", node_uid="u", labels={"b": "1"}), force=False)
    with pytest.raises(KubeError) as refused:
        feature.delete(seen)
    assert refused.value.status == 409
    feature.release("gfd")
    left = feature.get()
    assert left is not None
    assert left.labels == {"b": "1"}
    feature.delete(left)
    assert feature.get() is None


class WithoutCrd(NodeApi):
    """A cluster without the CRD. message: of the 404; API servers have two of them."""

    message = ""

    def open(self, verb: str, path: str, **request: Any) -> Any:
        if "nodefeatures" in path:
            raise KubeError(f"{verb} {path}: HTTP 404: {self.message}", status=404, hint="no such Node")
        return super().open(verb, path, **request)


@pytest.mark.parametrize("message", ["Not Found", "the server could not find the requested resource"])
def test_a_cluster_without_the_crd_is_an_error_and_not_a_missing_object(kubeconfig: Path, message: str) -> None:
    node = WithoutCrd("n1", kubeconfig=str(kubeconfig), user_agent="t")
    node.message = message
    api = NodeFeatureApi(node, namespace="default")
    desired = NodeFeature(node_name="n1", node_uid="u", labels={})
    for send in (api.get, lambda: api.apply("gfd", desired, force=False)):
        with pytest.raises(KubeError, match=r"is the NodeFeature CRD installed\?.*manifests/crds") as caught:
            send()
        assert "no such Node" not in str(caught.value)
        assert caught.value.status == 404


def test_a_404_for_an_unknown_path_does_not_contain_the_name_of_the_object(api: NodeApi) -> None:
    with pytest.raises(KubeError) as caught:
        api.request("GET", "/apis/nfd.k8s-sigs.io/v9/namespaces/default/nodefeatures/n1")
    assert caught.value.status == 404
    assert '"n1" not found' not in caught.value.message


EMPTY: dict[str, Any] = {"flags": {"a.b": {"elements": {}}}, "attributes": {}, "instances": {}}


class Refusing(NodeApi):
    """An API server that rejects the first apply that empties a map, as a real API server does. bodies: the bodies of the applies."""

    def __init__(self) -> None:
        super().__init__("n1", kubeconfig=None, user_agent="t")
        self.bodies: list[Any] = []

    def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
        self.bodies.append(request["body"])
        if len(self.bodies) == 1:
            raise KubeError("spec.features.flags.a.b.elements: Invalid value: null", status=422)
        body: Mapping[str, Any] = request["body"]
        return body


def test_an_emptied_feature_is_first_removed_and_then_applied_empty() -> None:
    refusing = Refusing()
    desired = NodeFeature(node_name="n1", node_uid="u", labels={}, features=Features(flags={"a.b": frozenset()}))
    view = NodeFeatureApi(refusing, namespace="default").apply("gfd", desired, force=False)
    assert [body["spec"]["features"] for body in refusing.bodies] == [EMPTY, {}, EMPTY]
    assert view.features == EMPTY
    assert all(body["metadata"]["name"] == "n1" for body in refusing.bodies)
