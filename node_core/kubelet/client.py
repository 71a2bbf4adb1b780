"""A device plugin as the kubelet sees it. Beside the stand-in kubelet, the plugin's own checks use it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import CallError, explain, open_channel

TIMEOUT = 10.0


class PluginClient:
    """One connection to a plugin's socket. Every call raises CallError with the gRPC code; UNAVAILABLE: nobody is there."""

    def __init__(self, path: Path) -> None:
        self._channel = open_channel(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends open streams too."""
        self._channel.close()

    def options(self) -> pb.DevicePluginOptions:
        answer: pb.DevicePluginOptions = self._call("GetDevicePluginOptions", pb.Empty(), pb.DevicePluginOptions)
        return answer

    def device_lists(self) -> Iterator[tuple[pb.Device, ...]]:
        """The whole list now and at every change. Ends when the plugin ends the stream; raises CallError when it breaks."""
        call = self._channel.unary_stream(
            "/v1beta1.DevicePlugin/ListAndWatch",
            request_serializer=pb.Empty.SerializeToString,
            response_deserializer=pb.ListAndWatchResponse.FromString,
        )
        try:
            stream = call(pb.Empty())
        except ValueError as error:
            raise _closed() from error
        try:
            for answer in stream:
                yield tuple(answer.devices)
        except grpc.RpcError as error:
            raise CallError(*explain(error)) from error
        finally:
            stream.cancel()

    def preferred(self, available: Sequence[str], required: Sequence[str], size: int) -> tuple[str, ...]:
        """The device ids that the plugin would give one container."""
        request = pb.PreferredAllocationRequest(
            container_requests=[
                pb.ContainerPreferredAllocationRequest(
                    available_deviceIDs=available, must_include_deviceIDs=required, allocation_size=size
                )
            ]
        )
        answer = self._call("GetPreferredAllocation", request, pb.PreferredAllocationResponse)
        return tuple(id_ for container in answer.container_responses[:1] for id_ in container.deviceIDs)

    def allocate(self, ids: Sequence[str]) -> pb.ContainerAllocateResponse:
        """What the plugin wants one container with these devices to have."""
        request = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=ids)])
        answer = self._call("Allocate", request, pb.AllocateResponse)
        if len(answer.container_responses) != 1:
            raise CallError("INTERNAL", f"{len(answer.container_responses)} answers for one container")
        response: pb.ContainerAllocateResponse = answer.container_responses[0]
        return response

    def _call(self, method: str, request: Any, response_type: Any) -> Any:
        call = self._channel.unary_unary(
            f"/v1beta1.DevicePlugin/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,
        )
        try:
            return call(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            raise CallError(*explain(error)) from error
        except ValueError as error:
            raise _closed() from error


def _closed() -> CallError:
    """gRPC's own error for a channel that was closed is a ValueError."""
    return CallError("CANCELLED", "the connection was closed")
