"""The client of a device plugin, with plugins that send unexpected responses."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.grpc_h2.methods import Unary
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.client import PluginClient
from node_core.kubelet.server import UnixServer

SERVICE = "/v1beta1.DevicePlugin"


@pytest.fixture
def client_of(directory: Path) -> Iterator[Callable[[str, bytes], PluginClient]]:
    """client_of(method, response): the client of a plugin whose method returns the response."""
    servers: list[UnixServer] = []

    def start(method: str, response: bytes) -> PluginClient:
        server = UnixServer(directory / "plugin.sock", {f"{SERVICE}/{method}": Unary(lambda _: response)})
        server.start()
        servers.append(server)
        return PluginClient(directory / "plugin.sock")

    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    ("containers", "devices"),
    [([], ()), ([["a", "b"]], ("a", "b")), ([["a"], ["b"]], ("a",))],
    ids=["none", "one", "more"],
)
def test_the_preferred_devices_are_those_of_the_first_container(
    client_of: Callable[[str, bytes], PluginClient], containers: list[list[str]], devices: tuple[str, ...]
) -> None:
    responses = [pb.ContainerPreferredAllocationResponse(deviceIDs=each) for each in containers]
    response = pb.PreferredAllocationResponse(container_responses=responses).SerializeToString()
    with client_of("GetPreferredAllocation", response) as client:
        assert client.preferred_allocation(["a", "b"], [], 1) == devices


@pytest.mark.parametrize("count", [0, 2])
def test_an_allocation_needs_one_response_for_its_container(
    client_of: Callable[[str, bytes], PluginClient], count: int
) -> None:
    response = pb.AllocateResponse(container_responses=[pb.ContainerAllocateResponse()] * count).SerializeToString()
    with (
        client_of("Allocate", response) as client,
        pytest.raises(CallError, match=f"sent {count} responses for one container"),
    ):
        client.allocate(["a"])


def test_a_response_that_is_not_a_message_is_a_call_error(client_of: Callable[[str, bytes], PluginClient]) -> None:
    with client_of("GetDevicePluginOptions", b"\xff") as client, pytest.raises(CallError):
        client.options()
