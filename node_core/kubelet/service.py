"""What a device plugin and a kubelet answer, as plain Python, and its way into a gRPC server.

v1alpha is what kubelets before 1.10 speak. Its messages travel as parts of v1beta1's do: a request and an answer of its Allocate are
those of one container, so it needs no stubs of its own. It has no topology, no preference and no CDI devices.
Source: Kubernetes 1.9, pkg/kubelet/apis/deviceplugin/v1alpha.
"""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol

import grpc

from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import CallError


class Stream(Protocol):
    """One open call of ListAndWatch, as its server sees it."""

    def on_end(self, callback: Callable[[], None]) -> bool:
        """Calls back, in any thread, when the caller is gone; False when it is gone already."""
        ...


class DevicePlugin(Protocol):
    """Methods may raise CallError; anything else that they raise is answered as INTERNAL."""

    def options(self) -> pb.DevicePluginOptions: ...

    def list_and_watch(self, stream: Stream) -> Iterator[pb.ListAndWatchResponse]:
        """Ends soon after the stream did."""
        ...

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse: ...

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse: ...


class _ContextStream:
    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def on_end(self, callback: Callable[[], None]) -> bool:
        return bool(self._context.add_callback(callback))


def device_plugin_handler(plugin: DevicePlugin) -> grpc.GenericRpcHandler:
    """The service v1beta1.DevicePlugin."""

    def list_and_watch(_: pb.Empty, context: grpc.ServicerContext) -> Iterator[pb.ListAndWatchResponse]:
        return plugin.list_and_watch(_ContextStream(context))

    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "GetDevicePluginOptions": _unary(lambda _: plugin.options(), pb.Empty),
        "ListAndWatch": grpc.unary_stream_rpc_method_handler(
            list_and_watch, request_deserializer=pb.Empty.FromString, response_serializer=_serialize
        ),
        "GetPreferredAllocation": _unary(plugin.preferred_allocation, pb.PreferredAllocationRequest),
        "Allocate": _unary(plugin.allocate, pb.AllocateRequest),
        "PreStartContainer": _unary(lambda _: pb.PreStartContainerResponse(), pb.PreStartContainerRequest),
    }
    return grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", methods)


def alpha_handler(plugin: DevicePlugin) -> grpc.GenericRpcHandler:
    """The service deviceplugin.DevicePlugin, v1alpha, on top of the same plugin."""

    def list_and_watch(_: pb.Empty, context: grpc.ServicerContext) -> Iterator[pb.ListAndWatchResponse]:
        return map(_without_topology, plugin.list_and_watch(_ContextStream(context)))

    def allocate(request: pb.ContainerAllocateRequest) -> pb.ContainerAllocateResponse:
        whole = plugin.allocate(pb.AllocateRequest(container_requests=[request]))
        answer = whole.container_responses[0]
        return pb.ContainerAllocateResponse(envs=answer.envs, mounts=answer.mounts, devices=answer.devices)

    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "ListAndWatch": grpc.unary_stream_rpc_method_handler(
            list_and_watch, request_deserializer=pb.Empty.FromString, response_serializer=_serialize
        ),
        "Allocate": _unary(allocate, pb.ContainerAllocateRequest),
    }
    return grpc.method_handlers_generic_handler("deviceplugin.DevicePlugin", methods)


def _without_topology(devices: pb.ListAndWatchResponse) -> pb.ListAndWatchResponse:
    """Field 3 of a device is its attributes in v1alpha."""
    return pb.ListAndWatchResponse(devices=[pb.Device(ID=each.ID, health=each.health) for each in devices.devices])


def registration_handler(
    register: Callable[[pb.RegisterRequest], None], package: str = "v1beta1"
) -> grpc.GenericRpcHandler:
    """The service Registration, which the kubelet serves. register: may raise CallError. package: `deviceplugin` for v1alpha."""

    def answer(request: pb.RegisterRequest) -> pb.Empty:
        register(request)
        return pb.Empty()

    return grpc.method_handlers_generic_handler(
        f"{package}.Registration", {"Register": _unary(answer, pb.RegisterRequest)}
    )


def _unary(answer: Callable[[Any], Any], request_type: Any) -> "grpc.RpcMethodHandler[Any, Any]":
    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request)
        except CallError as error:
            _abort(context, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - a fault in one answer must not become a mute UNKNOWN
            _abort(context, "INTERNAL", f"{type(error).__name__}: {error}")

    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=request_type.FromString, response_serializer=_serialize
    )


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _abort(context: grpc.ServicerContext, code: str, message: str) -> NoReturn:
    context.abort(grpc.StatusCode[code], message)
    raise AssertionError("abort raises")
