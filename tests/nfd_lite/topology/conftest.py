"""A simulated API server with one Node, its client, and a server in place of the kubelet."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.grpc_h2.methods import Unary
from node_core.kube.client import NodeApi
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from simulation.apiserver import ApiServer


class FakeKubelet:
    """Serves the pod-resources API with settable responses. socket: its path."""

    def __init__(self, folder: Path) -> None:
        self.allocatable = pb.AllocatableResourcesResponse()
        self.pods: list[pb.PodResources] = []
        self.socket = folder / "kubelet.sock"
        methods = {"List": Unary(self._list), "GetAllocatableResources": Unary(self._list_allocatable)}
        self._server = UnixServer(
            self.socket, {f"/v1.PodResourcesLister/{name}": each for name, each in methods.items()}
        )
        self.start = self._server.start
        self.stop = self._server.stop

    def _list(self, _: bytes) -> bytes:
        return bytes(pb.ListPodResourcesResponse(pod_resources=self.pods).SerializeToString())

    def _list_allocatable(self, _: bytes) -> bytes:
        return bytes(self.allocatable.SerializeToString())


MakeKubelet = Callable[[], FakeKubelet]


@pytest.fixture
def kubelet() -> Iterator[FakeKubelet]:
    with tempfile.TemporaryDirectory(prefix="k-") as folder:  # the path of a Unix socket has at most 107 bytes
        fake = FakeKubelet(Path(folder))
        fake.start()
        yield fake
        fake.stop()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.forget_requests()
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Path:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return tmp_path / "kubeconfig"


@pytest.fixture
def api(kubeconfig: Path) -> NodeApi:
    return NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="nfd-lite-topology/test")
