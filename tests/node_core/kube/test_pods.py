"""Requests that remove pods."""

from typing import Any

import pytest

from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.pods import PodApi, parse_pods


class Client:
    def __init__(self, status: int | None = None) -> None:
        self.status = status
        self.requests: list[tuple[str, str, str]] = []
        self.body: dict[str, Any] = {}

    def request(self, verb: str, path: str, **more: Any) -> dict[str, Any]:
        self.requests.append((verb, path, more["body"]["kind"]))
        self.body = more["body"]
        if self.status is not None:
            raise KubeError("refused", status=self.status)
        return {}


def pods_of(client: Any) -> PodApi:
    return PodApi(client)


def test_an_eviction_is_a_subresource_of_the_pod() -> None:
    client = Client()
    pods_of(client).evict("ml", "train/0")
    assert client.requests == [("POST", "/api/v1/namespaces/ml/pods/train%2F0/eviction", "Eviction")]


def test_a_deletion_has_the_grace_period_of_the_pod() -> None:
    client = Client()
    pods_of(client).delete("ml", "train-0")
    assert client.requests == [("DELETE", "/api/v1/namespaces/ml/pods/train-0", "DeleteOptions")]


def test_a_pod_with_another_uid_is_not_removed() -> None:
    client = Client()
    pods_of(client).evict("ml", "train-0", uid="u1")
    assert client.body["deleteOptions"] == {"preconditions": {"uid": "u1"}}
    pods_of(client).delete("ml", "train-0", uid="u1")
    assert client.body["preconditions"] == {"uid": "u1"}


def test_a_pod_that_is_gone_is_not_an_error() -> None:
    pods_of(Client(404)).evict("ml", "train-0")
    pods_of(Client(404)).delete("ml", "train-0")


@pytest.mark.parametrize("status", [403, 429, 500])
def test_a_refusal_is_an_error(status: int) -> None:
    with pytest.raises(KubeError):
        pods_of(Client(status)).evict("ml", "train-0")


def test_the_pods_of_a_node_are_listed(api: NodeApi) -> None:
    for name, node in (("a", "n1"), ("b", "n2"), ("c", None)):
        spec = {
            "containers": [{"name": "c", "image": "i"}],
            "nodeSelector": {"x": "y"},
            **({"nodeName": node} if node else {}),
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
        api.request("POST", "/api/v1/namespaces/default/pods", body=pod, content="application/json")
    assert [(pod.key, pod.spec.node_selector) for pod in PodApi(api).list_on_node("n1")] == [("default/a", {"x": "y"})]


@pytest.mark.parametrize("response", [{}, {"items": 3}, {"items": [{"metadata": {"name": 3}}]}])
def test_a_response_that_is_no_list_of_pods_is_an_error(response: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected|missing"):
        parse_pods(response)
