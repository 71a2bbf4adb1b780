"""Kubelets before 1.10: the device plugin API v1alpha, on the same socket as v1beta1. Its messages are parsed by field number."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from node_core.errors import KubeletError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import Manner, register
from node_core.kubelet.rpc import CallError, open_channel
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import Stream, alpha_handler, device_plugin_handler, registration_handler

OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


class OnePlugin:
    """One device on NUMA node 1, and an answer with everything in it."""

    def options(self) -> pb.DevicePluginOptions:
        return OPTIONS

    def list_and_watch(self, stream: Stream) -> Iterator[pb.ListAndWatchResponse]:
        device = pb.Device(ID="GPU-0", health="Healthy", topology=pb.TopologyInfo(nodes=[pb.NUMANode(ID=1)]))
        yield pb.ListAndWatchResponse(devices=[device])

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse:
        return pb.PreferredAllocationResponse()

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse:
        (asked,) = request.container_requests
        if list(asked.devices_ids) != ["GPU-0"]:
            raise CallError("NOT_FOUND", "no such device")
        answer = pb.ContainerAllocateResponse(
            envs={"NVIDIA_VISIBLE_DEVICES": "GPU-0"},
            mounts=[pb.Mount(container_path="/c", host_path="/h", read_only=True)],
            devices=[pb.DeviceSpec(container_path="/dev/c", host_path="/dev/h", permissions="rw")],
            annotations={"cdi.k8s.io/x": "y"},
            cdi_devices=[pb.CDIDevice(name="v/c=d")],
        )
        return pb.AllocateResponse(container_responses=[answer])


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:
        yield Path(path)


@pytest.fixture
def plugin(directory: Path) -> Iterator[Path]:
    server = UnixServer(directory / "p.sock", device_plugin_handler(OnePlugin()), alpha_handler(OnePlugin()))
    server.start()
    yield server.path
    server.stop()


@pytest.fixture
def kubelet(directory: Path) -> Iterator[Callable[..., Path]]:
    servers: list[UnixServer] = []

    def start(*handlers: grpc.GenericRpcHandler) -> Path:
        servers.append(UnixServer(directory / "kubelet.sock", *handlers))
        servers[-1].start()
        return servers[-1].path

    yield start
    for server in servers:
        server.stop()


def call(path: Path, method: str, request: Any, response_type: Any) -> Any:
    with open_channel(path) as channel:
        unary = channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=response_type.FromString
        )
        return unary(request, timeout=5)


def test_an_old_kubelet_is_registered_at_in_its_own_version(kubelet: Callable[..., Path]) -> None:
    seen: list[pb.RegisterRequest] = []
    socket = kubelet(registration_handler(seen.append, package="deviceplugin"))
    assert register(socket, "nvidia.com/gpu", "nvidia-gpu.sock", OPTIONS) == "v1alpha"
    expected = pb.RegisterRequest(version="v1alpha", endpoint="nvidia-gpu.sock", resource_name="nvidia.com/gpu")
    assert seen == [expected]


def test_a_kubelet_that_names_another_version_is_asked_in_it(kubelet: Callable[..., Path]) -> None:
    def refuse(_: pb.RegisterRequest) -> None:
        raise CallError(
            "UNKNOWN", 'requested API version "v1beta1" is not supported by kubelet. Supported is "v1alpha"'
        )

    seen: list[pb.RegisterRequest] = []
    socket = kubelet(registration_handler(refuse), registration_handler(seen.append, package="deviceplugin"))
    assert register(socket, "r", "e", OPTIONS) == "v1alpha"
    assert [request.version for request in seen] == ["v1alpha"]


def test_a_newer_kubelet_is_never_asked_in_the_old_version(kubelet: Callable[..., Path]) -> None:
    old: list[pb.RegisterRequest] = []
    new: list[pb.RegisterRequest] = []
    socket = kubelet(registration_handler(new.append), registration_handler(old.append, package="deviceplugin"))
    assert register(socket, "r", "e", OPTIONS) == "v1beta1"
    assert (len(new), old) == (1, [])


def test_any_other_refusal_is_no_reason_to_try_the_old_version(kubelet: Callable[..., Path]) -> None:
    def refuse(_: pb.RegisterRequest) -> None:
        raise CallError("UNKNOWN", "the resource name is taken")

    old: list[pb.RegisterRequest] = []
    socket = kubelet(registration_handler(refuse), registration_handler(old.append, package="deviceplugin"))
    with pytest.raises(KubeletError, match="the resource name is taken"):
        register(socket, "r", "e", OPTIONS)
    assert old == []


def test_one_version_alone_can_be_asked_for(kubelet: Callable[..., Path]) -> None:
    socket = kubelet(registration_handler(lambda _: None))
    with pytest.raises(KubeletError, match="UNIMPLEMENTED"):
        register(socket, "r", "e", OPTIONS, Manner(versions=("v1alpha",)))


def test_devices_have_no_topology_in_the_old_version(plugin: Path) -> None:
    with open_channel(plugin) as channel:
        stream = channel.unary_stream(
            "/deviceplugin.DevicePlugin/ListAndWatch",
            request_serializer=pb.Empty.SerializeToString,
            response_deserializer=pb.ListAndWatchResponse.FromString,
        )
        (answer,) = list(stream(pb.Empty(), timeout=5))
    assert list(answer.devices) == [pb.Device(ID="GPU-0", health="Healthy")]


def test_an_old_kubelet_gets_environment_mounts_and_device_nodes_alone(plugin: Path) -> None:
    asked = pb.ContainerAllocateRequest(devices_ids=["GPU-0"])
    answer = call(plugin, "/deviceplugin.DevicePlugin/Allocate", asked, pb.ContainerAllocateResponse)
    assert dict(answer.envs) == {"NVIDIA_VISIBLE_DEVICES": "GPU-0"}
    assert [mount.host_path for mount in answer.mounts] == ["/h"]
    assert [node.host_path for node in answer.devices] == ["/dev/h"]
    assert (len(answer.annotations), len(answer.cdi_devices)) == (0, 0)


def test_an_old_kubelet_is_told_of_an_error_as_a_new_one_is(plugin: Path) -> None:
    asked = pb.ContainerAllocateRequest(devices_ids=["GPU-9"])
    with pytest.raises(grpc.RpcError, match="no such device"):
        call(plugin, "/deviceplugin.DevicePlugin/Allocate", asked, pb.ContainerAllocateResponse)
