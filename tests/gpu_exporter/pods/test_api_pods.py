"""The pods of a node, as the API server has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gpu_core.pods.holders import PodIdentity
from gpu_exporter.pods.api_pods import PodInformer, parse_pod
from gpu_exporter.pods.labels import select_labels
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.http import parse_response
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from tests.waiting import until


def select(labels: Any) -> dict[str, str]:
    return select_labels(labels, ())


def pod(name: str, *, node: str = "n1", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "i"}]},
    }


def test_a_pod_has_uid_labels_and_the_ids_of_its_containers() -> None:
    obj = pod("a", uid="u", labels={"a/b": "c"})
    obj["status"] = {
        "containerStatuses": [{"name": "main", "containerID": f"containerd://{'a' * 64}"}, {"name": "waiting"}],
        "initContainerStatuses": [{"name": "init", "containerID": f"cri-o://{'b' * 64}"}],
        "ephemeralContainerStatuses": [{"name": "debug", "containerID": ""}],
    }
    containers = {"a" * 64: "main", "b" * 64: "init"}
    assert parse_pod(obj, select) == PodIdentity(
        uid="u", namespace="default", name="a", labels={"a_b": "c"}, containers=containers
    )


def test_a_static_pod_has_the_uid_of_the_kubelet() -> None:
    assert parse_pod(pod("a", uid="u", annotations={"kubernetes.io/config.mirror": "hash"}), select).uid == "hash"


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"uid": "u", "name": "n"}}, []])
def test_an_object_that_is_not_a_pod_is_an_error_of_the_api_server(obj: Any) -> None:
    with pytest.raises(KubeError):
        parse_response(lambda each: parse_pod(each, select), obj)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def informer(server: ApiServer, services: Services, tmp_path: Path) -> Iterator[PodInformer]:
    assert server.url
    api = NodeApi("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="t")
    quick = Backoff(first=0.01, maximum=0.02)
    informer = PodInformer(api, agent="gpu-exporter", services=services, select=select, backoff=quick)
    yield informer
    informer.stop()


def names(informer: PodInformer) -> list[str]:
    return sorted(each.name for each in informer.state or ())


def test_the_pods_of_the_own_node_are_followed_with_one_list(server: ApiServer, informer: PodInformer) -> None:
    server.store.create("pods", pod("a"))
    server.store.create("pods", pod("other", node="n2"))
    informer.start()
    until(lambda: names(informer) == ["a"])
    server.store.create("pods", pod("b", labels={"x": "y"}))
    until(lambda: names(informer) == ["a", "b"])
    server.store.delete("pods", "a", namespace="default")
    until(lambda: names(informer) == ["b"])
    assert [each.labels for each in informer.state or ()] == [{"x": "y"}]
    assert {path: count for (verb, path), count in server.requests.items() if verb == "list"} == {"/api/v1/pods": 1}


def test_an_error_is_a_problem_of_readiness_until_the_next_list(
    server: ApiServer, informer: PodInformer, services: Services
) -> None:
    server.store.create("pods", pod("a"))
    server.fail_next(1, status=403)
    with capture_logs() as logs:
        informer.start()
        until(lambda: names(informer) == ["a"] and services.readiness.problems() == {"gpu-exporter/pods": None})
    events = [line["event"] for line in logs if line.get("check") == "gpu-exporter/pods"]
    assert events == ["not_ready", "ready"]
    assert b'gpunode_errors_total{agent="gpu-exporter",check="pods"} 1.0' in services.metrics.render()


def test_an_error_does_not_remove_the_pods(informer: PodInformer) -> None:
    informer._observe({"default/a": PodIdentity(uid="u", namespace="default", name="a")})
    informer._observe_error(KubeError("x"))
    assert names(informer) == ["a"]
