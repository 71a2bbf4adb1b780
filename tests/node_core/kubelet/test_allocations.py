"""The resources of the node and of its pods, read from kubelets and from servers that send invalid responses."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.domain.node_resources import DeviceGroup, ExclusiveResources, MemoryBlock, PodAllocation
from node_core.errors import KubeletError
from node_core.grpc_h2.methods import Unary
from node_core.grpc_h2.status import CallError
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.allocations import read_node_resources
from node_core.kubelet.server import UnixServer

Serve = Callable[..., Path]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[UnixServer] = []

    def start(listed: bytes, allocatable: bytes | None = b"") -> Path:
        methods = {"/v1.PodResourcesLister/List": Unary(lambda _: listed)}
        if allocatable is not None:
            methods["/v1.PodResourcesLister/GetAllocatableResources"] = Unary(lambda _: allocatable)
        servers.append(UnixServer(Path(folder, "kubelet.sock"), methods))
        servers[-1].start()
        return servers[-1].path

    with tempfile.TemporaryDirectory(prefix="k-") as folder:  # the path of a Unix socket has at most 107 bytes
        yield start
        for server in servers:
            server.stop()


def topology(*nodes: int) -> pb.TopologyInfo:
    return pb.TopologyInfo(nodes=[pb.NUMANode(ID=node) for node in nodes])


def test_cpus_devices_and_memory_are_read_with_their_numa_nodes(serve: Serve) -> None:
    devices = [
        pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=["a", "b"], topology=topology(0, 1)),
        pb.ContainerDevices(resource_name="example.com/tpm", device_ids=["c"]),
    ]
    memory = [pb.ContainerMemory(memory_type="hugepages-2Mi", size=2 << 20, topology=topology(1))]
    allocatable = pb.AllocatableResourcesResponse(devices=devices, cpu_ids=[0, 7], memory=memory)
    container = pb.ContainerResources(name="c", devices=devices[:1], cpu_ids=[7], memory=memory)
    pod = pb.PodResources(name="n", namespace="team", containers=[container, pb.ContainerResources()])
    listed = pb.ListPodResourcesResponse(pod_resources=[pod, pb.PodResources(name="m", namespace="team")])
    found = read_node_resources(serve(listed.SerializeToString(), allocatable.SerializeToString()))
    gpus = DeviceGroup(resource="nvidia.com/gpu", ids=frozenset({"a", "b"}), numa_nodes=frozenset({0, 1}))
    block = MemoryBlock(resource="hugepages-2Mi", size=2 << 20, numa_nodes=frozenset({1}))
    assert found.allocatable == ExclusiveResources(
        cpus=frozenset({0, 7}),
        devices=(gpus, DeviceGroup(resource="example.com/tpm", ids=frozenset({"c"}))),
        memory=(block,),
    )
    assert found.pods == (
        PodAllocation(
            namespace="team",
            name="n",
            containers=(
                ExclusiveResources(cpus=frozenset({7}), devices=(gpus,), memory=(block,)),
                ExclusiveResources(),
            ),
        ),
        PodAllocation(namespace="team", name="m"),
    )


def test_a_kubelet_without_the_method_is_an_error(serve: Serve) -> None:
    with pytest.raises(KubeletError, match="UNIMPLEMENTED"):
        read_node_resources(serve(b"", None))


def test_a_missing_kubelet_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(KubeletError, match=f"resources of the node and its pods at {tmp_path}/none"):
        read_node_resources(tmp_path / "none", timeout=0.5)


@pytest.mark.parametrize("response", [b"\xff" * 40, b"\x0a\xff"])
@pytest.mark.parametrize("is_list", [True, False])
def test_an_invalid_response_is_a_kubelet_error(serve: Serve, response: bytes, is_list: bool) -> None:
    with pytest.raises(KubeletError):
        read_node_resources(serve(response, b"") if is_list else serve(b"", response))


def test_an_error_of_the_kubelet_is_reported_in_its_words(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise CallError("RESOURCE_EXHAUSTED", "rejected by rate limit")

    monkeypatch.setattr("node_core.kubelet.allocations.call", refuse)
    with pytest.raises(KubeletError, match="code = RESOURCE_EXHAUSTED desc = rejected by rate limit"):
        read_node_resources(serve(b""))


def test_the_wire_format_is_that_of_kubernetes() -> None:
    """The expected bytes are written by hand, with the field numbers of the API."""
    memory = pb.ContainerMemory(memory_type="m", size=5, topology=topology(1))
    assert memory.SerializeToString() == b"\x0a\x01m\x10\x05\x1a\x04\x0a\x02\x08\x01"
    response = pb.AllocatableResourcesResponse(cpu_ids=[1, 2], memory=[memory])
    assert response.SerializeToString() == b"\x12\x02\x01\x02\x1a\x0b" + memory.SerializeToString()
    assert pb.ContainerResources(cpu_ids=[3]).SerializeToString() == b"\x1a\x01\x03"
    assert pb.ContainerDevices(topology=topology()).SerializeToString() == b"\x1a\x00"
