"""A client of a device plugin. The plugin checks its own sockets with the client, and the simulated kubelet uses the client."""

from collections.abc import Iterator, Sequence
from typing import Any

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import call, parse

TIMEOUT = 10.0


class PluginClient(Client):
    """Calls the methods of the service DevicePlugin. Raises CallError; the code is UNAVAILABLE if no server listens on the socket."""

    def options(self) -> pb.DevicePluginOptions:
        options: pb.DevicePluginOptions = self._call("GetDevicePluginOptions", pb.Empty(), pb.DevicePluginOptions)
        return options

    def device_lists(self) -> Iterator[tuple[pb.Device, ...]]:
        """Yields the full device list at the start and after each change, until the plugin ends the stream.

        Raises CallError if the stream fails.
        """
        for response in self.stream("/v1beta1.DevicePlugin/ListAndWatch", b""):
            yield tuple(parse(pb.ListAndWatchResponse, response).devices)

    def preferred_allocation(self, available: Sequence[str], required: Sequence[str], size: int) -> tuple[str, ...]:
        """Returns the device ids that the plugin prefers for one container."""
        request = pb.PreferredAllocationRequest(
            container_requests=[
                pb.ContainerPreferredAllocationRequest(
                    available_deviceIDs=available, must_include_deviceIDs=required, allocation_size=size
                )
            ]
        )
        preferred = self._call("GetPreferredAllocation", request, pb.PreferredAllocationResponse)
        return tuple(id_ for container in preferred.container_responses[:1] for id_ in container.deviceIDs)

    def allocate(self, ids: Sequence[str]) -> pb.ContainerAllocateResponse:
        """Allocates the devices to one container. Returns the plugin's response for the container."""
        request = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=ids)])
        allocated = self._call("Allocate", request, pb.AllocateResponse)
        if len(allocated.container_responses) != 1:
            raise CallError(
                "INTERNAL", f"the plugin sent {len(allocated.container_responses)} responses for one container"
            )
        response: pb.ContainerAllocateResponse = allocated.container_responses[0]
        return response

    def _call(self, method: str, request: Any, response_type: Any) -> Any:
        return call(self, f"/v1beta1.DevicePlugin/{method}", request, response_type, timeout=TIMEOUT)
