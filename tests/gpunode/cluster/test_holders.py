"""The Pods that have devices, read by Node."""

from typing import Any

import msgspec
import pytest

from gpunode.cluster import holders, lists
from gpunode.cluster.connection import Connection
from gpunode.cluster.holders import HolderReader, read_pods_of
from node_core.errors import KubeError
from node_core.scheduling.objects import Node
from simulation.apiserver import ApiServer

GPU = "nvidia.com/gpu"
PODS = ("list", "/api/v1/pods")


def node(name: str, *, has_gpus: bool = True) -> Node:
    capacity = {GPU: "8"} if has_gpus else {}
    return msgspec.convert({"metadata": {"name": name}, "status": {"capacity": capacity}}, Node)


def add_pod(server: ApiServer, name: str, node_name: str, **status: Any) -> None:
    container = {"name": "c", "image": "i", "resources": {"limits": {GPU: "1"}}}
    server.store.create(
        "pods",
        {
            "metadata": {"name": name, "namespace": "n"},
            "spec": {"nodeName": node_name, "containers": [container]},
            "status": status,
        },
    )


def held(reader: HolderReader, *nodes: Node) -> list[list[str]]:
    return [[holder.name for holder in holders] for holders in reader.read(nodes)]


@pytest.fixture
def many(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """More Pods than a small cluster has."""
    monkeypatch.setattr(lists, "PAGE", 2)
    monkeypatch.setattr(holders, "FEW_PODS", 4)
    for name, node_name in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")):
        add_pod(server, name, node_name)
    add_pod(server, "e", "x", phase="Succeeded")
    return server


def test_few_pods_are_counted_and_then_listed(server: ApiServer, connection: Connection) -> None:
    add_pod(server, "a", "x")
    reader = HolderReader(connection.api)
    assert held(reader, node("y"), node("x")) == [[], ["a"]]
    assert server.requests[PODS] == 2


@pytest.mark.usefixtures("many")
def test_many_pods_are_read_by_node_in_the_order_of_the_nodes(connection: Connection) -> None:
    reader = HolderReader(connection.api)
    assert held(reader, node("y"), node("z"), node("x")) == [["b"], [], ["a", "c", "d"]]


def test_a_node_without_gpus_needs_no_request(many: ApiServer, connection: Connection) -> None:
    reader = HolderReader(connection.api)
    many.forget_requests()
    assert held(reader, node("y", has_gpus=False)) == [[]]
    assert not many.requests[PODS]


def test_a_failed_request_for_a_node_is_raised(many: ApiServer, connection: Connection) -> None:
    reader = HolderReader(connection.api)
    many.fail_next(1)
    with pytest.raises(KubeError, match="503"):
        held(reader, node("y"))


@pytest.mark.usefixtures("many")
def test_the_unfinished_pods_of_a_node_are_read_in_pages(connection: Connection) -> None:
    assert [pod.metadata.name for pod in read_pods_of(connection.api, "x")] == ["a", "c", "d"]
