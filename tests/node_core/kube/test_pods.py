"""Requests that remove pods."""

from typing import Any

import pytest

from node_core.errors import KubeError
from node_core.kube.pods import PodApi


class Client:
    def __init__(self, status: int | None = None) -> None:
        self.status = status
        self.requests: list[tuple[str, str, str]] = []

    def request(self, verb: str, path: str, **more: Any) -> dict[str, Any]:
        self.requests.append((verb, path, more["body"]["kind"]))
        if self.status is not None:
            raise KubeError("refused", status=self.status)
        return {}


def api(client: Any) -> PodApi:
    return PodApi(client)


def test_an_eviction_is_a_subresource_of_the_pod() -> None:
    client = Client()
    api(client).evict("ml", "train/0")
    assert client.requests == [("POST", "/api/v1/namespaces/ml/pods/train%2F0/eviction", "Eviction")]


def test_a_deletion_has_the_grace_period_of_the_pod() -> None:
    client = Client()
    api(client).delete("ml", "train-0")
    assert client.requests == [("DELETE", "/api/v1/namespaces/ml/pods/train-0", "DeleteOptions")]


def test_a_pod_that_is_gone_is_not_an_error() -> None:
    api(Client(404)).evict("ml", "train-0")
    api(Client(404)).delete("ml", "train-0")


@pytest.mark.parametrize("status", [403, 429, 500])
def test_a_refusal_is_an_error(status: int) -> None:
    with pytest.raises(KubeError):
        api(Client(status)).evict("ml", "train-0")
