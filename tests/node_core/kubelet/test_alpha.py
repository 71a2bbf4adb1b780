"""Kubelets before 1.10: the device plugin API v1alpha, on the same socket as v1beta1. Its messages are parsed by field number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet import rpc
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import Stream, alpha_methods, device_plugin_methods

OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


class OnePlugin:
    """A plugin with one device on NUMA node 1. Its Allocate response has a value in every field."""

    def options(self) -> pb.DevicePluginOptions:
        return OPTIONS

    def list_and_watch(self, stream: Stream) -> None:
        device = pb.Device(ID="GPU-0", health="Healthy", topology=pb.TopologyInfo(nodes=[pb.NUMANode(ID=1)]))
        stream.send(pb.ListAndWatchResponse(devices=[device]))
        stream.close()

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse:
        return pb.PreferredAllocationResponse()

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse:
        (container,) = request.container_requests
        if list(container.devices_ids) != ["GPU-0"]:
            raise CallError("NOT_FOUND", "no such device")
        response = pb.ContainerAllocateResponse(
            envs={"NVIDIA_VISIBLE_DEVICES": "GPU-0"},
            mounts=[pb.Mount(container_path="/c", host_path="/h", read_only=True)],
            devices=[pb.DeviceSpec(container_path="/dev/c", host_path="/dev/h", permissions="rw")],
            annotations={"cdi.k8s.io/x": "y"},
            cdi_devices=[pb.CDIDevice(name="v/c=d")],
        )
        return pb.AllocateResponse(container_responses=[response])


@pytest.fixture
def plugin(directory: Path) -> Iterator[Path]:
    server = UnixServer(directory / "p.sock", device_plugin_methods(OnePlugin()), alpha_methods(OnePlugin()))
    server.start()
    yield server.path
    server.stop()


def call(path: Path, method: str, request: Any, answer_type: Any) -> Any:
    with Client(path) as client:
        return rpc.call(client, method, request, answer_type, timeout=60)


def test_v1alpha_devices_have_no_topology(plugin: Path) -> None:
    with Client(plugin) as client:
        (content,) = client.stream("/deviceplugin.DevicePlugin/ListAndWatch", b"", timeout=60)
    response = pb.ListAndWatchResponse.FromString(content)
    assert list(response.devices) == [pb.Device(ID="GPU-0", health="Healthy")]


def test_a_v1alpha_response_contains_only_environment_mounts_and_device_nodes(plugin: Path) -> None:
    request = pb.ContainerAllocateRequest(devices_ids=["GPU-0"])
    response = call(plugin, "/deviceplugin.DevicePlugin/Allocate", request, pb.ContainerAllocateResponse)
    assert dict(response.envs) == {"NVIDIA_VISIBLE_DEVICES": "GPU-0"}
    assert [mount.host_path for mount in response.mounts] == ["/h"]
    assert [node.host_path for node in response.devices] == ["/dev/h"]
    assert (len(response.annotations), len(response.cdi_devices)) == (0, 0)


def test_an_error_is_reported_to_an_old_kubelet_like_to_a_new_one(plugin: Path) -> None:
    request = pb.ContainerAllocateRequest(devices_ids=["GPU-9"])
    with pytest.raises(CallError, match="no such device"):
        call(plugin, "/deviceplugin.DevicePlugin/Allocate", request, pb.ContainerAllocateResponse)
