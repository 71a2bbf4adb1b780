"""The Python interfaces of the services DevicePlugin and Registration, and the gRPC methods that serve the interfaces.

Kubelets before version 1.10 support only v1alpha. The Allocate messages of v1alpha have the wire format of the v1beta1 messages for one
container, so v1alpha uses the v1beta1 stubs. v1alpha has no topology, no preferred allocation and no CDI devices.
Source: Kubernetes 1.9, pkg/kubelet/apis/deviceplugin/v1alpha.
"""

from collections.abc import Callable
from typing import Any, Protocol

from node_core.grpc_h2.methods import Methods, ResponseStream, Streaming, Unary
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import parse


class Stream(Protocol):
    """The server side of one open ListAndWatch call. No method blocks."""

    def send(self, devices: pb.ListAndWatchResponse) -> None:
        """Sends the list. The list replaces an older list that is not sent yet."""
        ...

    def close(self) -> None:
        """Ends the call after the newest list is sent."""
        ...

    def abort(self, code: str, message: str) -> None:
        """Ends the call with an error. Drops a list that is not sent yet."""
        ...

    def on_end(self, callback: Callable[[], None]) -> None:
        """Sets the function that the server's thread calls when the call ends. Must be set before `list_and_watch` returns."""
        ...


class DevicePlugin(Protocol):
    """A device plugin. The server's thread calls the methods, so no method may block.

    A method may raise CallError. The server reports any other exception as INTERNAL.
    """

    def options(self) -> pb.DevicePluginOptions: ...

    def list_and_watch(self, stream: Stream) -> None:
        """Sends the list and returns immediately. Any thread may send later lists."""
        ...

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse: ...

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse: ...


def device_plugin_methods(plugin: DevicePlugin) -> Methods:
    """Returns the methods of the service v1beta1.DevicePlugin."""
    service = "/v1beta1.DevicePlugin"
    return {
        f"{service}/GetDevicePluginOptions": _unary(lambda _: plugin.options(), pb.Empty),
        f"{service}/ListAndWatch": Streaming(lambda _, out: plugin.list_and_watch(_MessageStream(out))),
        f"{service}/GetPreferredAllocation": _unary(plugin.preferred_allocation, pb.PreferredAllocationRequest),
        f"{service}/Allocate": _unary(plugin.allocate, pb.AllocateRequest),
        f"{service}/PreStartContainer": _unary(lambda _: pb.PreStartContainerResponse(), pb.PreStartContainerRequest),
    }


def alpha_methods(plugin: DevicePlugin) -> Methods:
    """Returns the methods of the service deviceplugin.DevicePlugin (v1alpha) for the same plugin."""

    def allocate(request: pb.ContainerAllocateRequest) -> pb.ContainerAllocateResponse:
        response = plugin.allocate(pb.AllocateRequest(container_requests=[request])).container_responses[0]
        return pb.ContainerAllocateResponse(envs=response.envs, mounts=response.mounts, devices=response.devices)

    service = "/deviceplugin.DevicePlugin"
    return {
        f"{service}/ListAndWatch": Streaming(lambda _, out: plugin.list_and_watch(_AlphaStream(out))),
        f"{service}/Allocate": _unary(allocate, pb.ContainerAllocateRequest),
    }


def registration_methods(register: Callable[[pb.RegisterRequest], None], package: str = "v1beta1") -> Methods:
    """Returns the methods of the kubelet's service Registration. register: may raise CallError. package: `deviceplugin` for v1alpha."""

    def respond(request: pb.RegisterRequest) -> pb.Empty:
        register(request)
        return pb.Empty()

    return {f"/{package}.Registration/Register": _unary(respond, pb.RegisterRequest)}


class _MessageStream:
    def __init__(self, out: ResponseStream) -> None:
        self._out = out
        self.close = out.close
        self.abort = out.abort
        self.on_end = out.on_end

    def send(self, devices: pb.ListAndWatchResponse) -> None:
        self._out.send(devices.SerializeToString())


class _AlphaStream(_MessageStream):
    """Sends devices without topology: field 3 of a device contains attributes in v1alpha and the topology in v1beta1."""

    def send(self, devices: pb.ListAndWatchResponse) -> None:
        devices_without_topology = [pb.Device(ID=each.ID, health=each.health) for each in devices.devices]
        super().send(pb.ListAndWatchResponse(devices=devices_without_topology))


def _unary(respond: Callable[[Any], Any], request_type: Any) -> Unary:
    return Unary(lambda request: bytes(respond(parse(request_type, request)).SerializeToString()))
