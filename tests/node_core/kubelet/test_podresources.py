"""Which pod has which device, asked of a kubelet, or of something that should be one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from node_core.errors import KubeletError
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.podresources import read_holders, select_holders
from node_core.kubelet.server import UnixServer


def pod(name: str, *ids: str) -> pb.PodResources:
    devices = [pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=[id_]) for id_ in ids]
    return pb.PodResources(
        name=name, namespace="team", containers=[pb.ContainerResources(name="c", devices=devices), pb.ContainerResources()]
    )  # fmt: skip


def handler(answer: bytes) -> grpc.GenericRpcHandler:
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(lambda _, __: answer)
    return grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": method})


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:
        yield Path(path, "kubelet.sock")


def test_it_names_the_pods_that_hold_one_of_the_devices(socket: Path) -> None:
    answer = pb.ListPodResourcesResponse(pod_resources=[pod("a", "GPU-0", "GPU-1::3"), pod("b", "GPU-2"), pod("c")])
    server = UnixServer(socket, handler(answer.SerializeToString()))
    server.start()
    holders = read_holders(socket)
    server.stop()
    assert [len(holder.devices) for holder in holders] == [2, 1, 0]
    assert list(select_holders(holders, ["GPU-1::3", "GPU-2", "GPU-9"])) == [("team", "a"), ("team", "b")]
    assert list(select_holders(holders, [])) == []


def test_a_node_with_many_pods_is_answered_in_full(socket: Path) -> None:
    pods = [pod(f"pod-{number}", *(f"GPU-{number}::{each:0200d}" for each in range(100))) for number in range(250)]
    server = UnixServer(socket, handler(pb.ListPodResourcesResponse(pod_resources=pods).SerializeToString()))
    server.start()
    holders = read_holders(socket)
    server.stop()
    assert sum(len(holder.devices) for holder in holders) == 25_000


def test_nobody_there_is_an_error_that_says_where(socket: Path) -> None:
    with pytest.raises(KubeletError, match=str(socket)):
        read_holders(socket, timeout=0.5)


@pytest.mark.parametrize("answer", [b"\xff" * 40, b"\x0a\xff"])
def test_garbage_is_an_error(socket: Path, answer: bytes) -> None:
    server = UnixServer(socket, handler(answer))
    server.start()
    with pytest.raises(KubeletError):
        read_holders(socket)
    server.stop()


def test_what_travels_is_what_kubernetes_defines() -> None:
    """Bytes written out by hand after the API's field numbers."""
    assert pod("n", "d").SerializeToString() == (
        b"\x0a\x01n\x12\x04team\x1a\x18\x0a\x01c\x12\x13\x0a\x0envidia.com/gpu\x12\x01d\x1a\x00"
    )
    assert pb.DESCRIPTOR.services_by_name["PodResourcesLister"].full_name == "v1.PodResourcesLister"
