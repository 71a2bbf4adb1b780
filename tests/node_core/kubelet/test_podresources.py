"""The pods that use devices, read from a kubelet and from servers that send invalid responses."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_core.errors import KubeletError
from node_core.grpc_h2.methods import Methods, Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.podresources import ClaimedDevice, ContainerDevices, list_pod_devices, select_pods
from node_core.kubelet.server import UnixServer


def pod(name: str, *ids: str) -> pb.PodResources:
    devices = [pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=[id_]) for id_ in ids]
    return pb.PodResources(
        name=name, namespace="team", containers=[pb.ContainerResources(name="c", devices=devices), pb.ContainerResources()]
    )  # fmt: skip


def handler(response: bytes) -> Methods:
    return {"/v1.PodResourcesLister/List": Unary(lambda _: response)}


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:
        yield Path(path, "kubelet.sock")


def test_pods_with_one_of_the_devices_are_selected(socket: Path) -> None:
    response = pb.ListPodResourcesResponse(pod_resources=[pod("a", "GPU-0", "GPU-1::3"), pod("b", "GPU-2"), pod("c")])
    server = UnixServer(socket, handler(response.SerializeToString()))
    server.start()
    pods = list_pod_devices(socket)
    server.stop()
    assert [len(pod.containers[0].devices) for pod in pods] == [2, 1, 0]
    assert list(select_pods(pods, ["GPU-1::3", "GPU-2", "GPU-9"])) == [("team", "a"), ("team", "b")]
    assert list(select_pods(pods, [])) == []


def test_devices_of_claims_have_the_names_of_their_driver_and_of_cdi(socket: Path) -> None:
    cdi = [pb.CDIDevice(name="k8s.gpu.nvidia.com/claim=1-gpu-0"), pb.CDIDevice(name="k8s.gpu.nvidia.com/device=gpu-0")]
    of_claim = pb.ClaimResource(driver_name="gpu.nvidia.com", pool_name="n", device_name="gpu-0", cdi_devices=cdi)
    claim = pb.DynamicResource(claim_name="one", claim_namespace="team", claim_resources=[of_claim])
    container = pb.ContainerResources(name="c", dynamic_resources=[claim, pb.DynamicResource(claim_name="empty")])
    response = pb.ListPodResourcesResponse(
        pod_resources=[pb.PodResources(name="a", namespace="team", containers=[container])]
    )
    server = UnixServer(socket, handler(response.SerializeToString()))
    server.start()
    (found,) = list_pod_devices(socket)
    server.stop()
    names = tuple(each.name for each in cdi)
    claimed = ClaimedDevice(claim="one", namespace="team", driver="gpu.nvidia.com", pool="n", device="gpu-0", cdi=names)
    assert found.containers == (ContainerDevices(name="c", claimed=(claimed,)),)


def test_all_pods_of_a_large_node_are_listed(socket: Path) -> None:
    pods = [pod(f"pod-{number}", *(f"GPU-{number}::{each:0200d}" for each in range(100))) for number in range(250)]
    server = UnixServer(socket, handler(pb.ListPodResourcesResponse(pod_resources=pods).SerializeToString()))
    server.start()
    listed = list_pod_devices(socket)
    server.stop()
    assert sum(len(pod.containers[0].devices) for pod in listed) == 25_000


def test_a_missing_server_is_an_error_with_the_path(socket: Path) -> None:
    with pytest.raises(KubeletError, match=str(socket)):
        list_pod_devices(socket, timeout=0.5)


@pytest.mark.parametrize("response", [b"\xff" * 40, b"\x0a\xff"])
def test_an_invalid_response_is_a_kubelet_error(socket: Path, response: bytes) -> None:
    server = UnixServer(socket, handler(response))
    server.start()
    with pytest.raises(KubeletError):
        list_pod_devices(socket)
    server.stop()


def test_the_wire_format_is_that_of_kubernetes() -> None:
    """The expected bytes are written by hand, with the field numbers of the API."""
    assert pod("n", "d").SerializeToString() == (
        b"\x0a\x01n\x12\x04team\x1a\x18\x0a\x01c\x12\x13\x0a\x0envidia.com/gpu\x12\x01d\x1a\x00"
    )
    assert pb.DESCRIPTOR.services_by_name["PodResourcesLister"].full_name == "v1.PodResourcesLister"
