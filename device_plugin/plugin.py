"""The device plugin server of one resource: its socket, its registration, and the kubelet's calls.

The server's thread handles calls from memory: without calls into the driver, without disk access, and without holding a lock for long.
The thread that owns the plugin calls all other methods. Source: Kubernetes documentation, Device Plugins.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from device_plugin.allocate.preferred import select_preferred_ids
from device_plugin.allocate.replicas import refusal_reason
from device_plugin.allocate.response import AllocationError, Response, Strategy, build_response
from device_plugin.broadcaster import DeviceListBroadcaster
from device_plugin.devices import Device, DeviceId, ResourceOffer
from device_plugin.wire import render_response
from gpu_core.domain.resources import ResourceName, short_name
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import DEFAULT, RegistrationOptions, register
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import Stream, alpha_methods, device_plugin_methods
from node_core.kubelet.sockets import Stamp, read_stamp

RETIRE_SECONDS = 0.5
"""How long the final, empty list may take to reach the kubelet."""
STOP_SECONDS = 0.2


def socket_path(directory: Path, resource: ResourceName) -> Path:
    """Returns the socket path. The name, such as `nvidia-gpu.sock`, is the same as in NVIDIA's plugin."""
    return directory / f"nvidia-{short_name(resource)}.sock"


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state from which calls are handled, replaced as a whole so that a call never uses half of a change. devices: by id."""

    offer: ResourceOffer
    devices: Mapping[DeviceId, Device]
    strategies: tuple[Strategy, ...]

    @classmethod
    def of(cls, offer: ResourceOffer, strategies: Sequence[Strategy]) -> "_Snapshot":
        return cls(offer=offer, devices={device.id: device for device in offer.devices}, strategies=tuple(strategies))


class ResourcePlugin:
    """strategies: how Allocate responses pass devices to containers. on_stream_end, on_allocate: called in any thread.

    on_allocate: receives the number of containers. registered_at: the stamp of the kubelet's socket at the last registration; None if
    the plugin must register.
    """

    def __init__(
        self,
        resource: ResourceName,
        offer: ResourceOffer,
        *,
        directory: Path,
        kubelet_socket: Path,
        strategies: Sequence[Strategy],
        on_stream_end: Callable[[], None] = lambda: None,
        on_allocate: Callable[[int], None] = lambda _: None,
        registration: RegistrationOptions = DEFAULT,
    ) -> None:
        self.resource = resource
        self.path = socket_path(directory, resource)
        self.registered_at: Stamp | None = None
        self._kubelet_socket = kubelet_socket
        self._snapshot = _Snapshot.of(offer, strategies)
        self._on_allocate = on_allocate
        self._registration = registration
        self._broadcaster = DeviceListBroadcaster(offer.devices, on_stream_end=on_stream_end)
        self._server: UnixServer | None = None

    @property
    def is_registered(self) -> bool:
        """Whether the running kubelet has accepted the registration."""
        return self.registered_at is not None and self.registered_at == read_stamp(self._kubelet_socket)

    @property
    def is_serving(self) -> bool:
        """Whether the server runs and its socket exists."""
        return self._server is not None and self._server.is_in_place

    @property
    def stream_count(self) -> int:
        """The number of open ListAndWatch calls; normally 1."""
        return self._broadcaster.stream_count

    @property
    def offer(self) -> ResourceOffer:
        return self._snapshot.offer

    def serve(self) -> None:
        """Starts a server and stops the previous server, if any. Raises KubeletError.

        The previous server stops first, because the kubelet treats the end of the old connection as the end of the resource.
        """
        self.registered_at = None
        self._broadcaster.end_streams()
        if self._server is not None:
            self._server.stop(STOP_SECONDS)
            self._server = None
        server = UnixServer(self.path, device_plugin_methods(self), alpha_methods(self), name=self.path.stem)
        server.start()
        self._server = server

    def register(self) -> None:
        """Registers with the kubelet. Requires a running server, because the kubelet connects at once. Raises KubeletError."""
        stamp = read_stamp(self._kubelet_socket)  # before the call: a kubelet that starts during the call is a new one
        self.registered_at = None
        register(self._kubelet_socket, self.resource, self.path.name, self.options(), self._registration)
        self.registered_at = stamp

    def update(self, offer: ResourceOffer, strategies: Sequence[Strategy] | None = None) -> bool:
        """Sends the devices to the kubelet if they differ. Returns whether they differ. strategies: None to retain the current ones.

        The socket and the streams do not change, so containers retain their devices.
        """
        self._snapshot = _Snapshot.of(offer, self._snapshot.strategies if strategies is None else strategies)
        return self._broadcaster.publish(offer.devices)

    def stop(self, *, retire: bool = False) -> None:
        """Stops the server in less than a second. retire: first sends an empty list, so that the kubelet sets the capacity to 0.

        Without `retire` the kubelet retains the capacity for the next process.
        """
        if retire:
            self._broadcaster.publish(())
        self._broadcaster.close()
        self.registered_at = None
        if self._server is not None:
            self._server.stop(RETIRE_SECONDS if retire else STOP_SECONDS)
            self._server = None

    def options(self) -> pb.DevicePluginOptions:
        return pb.DevicePluginOptions(get_preferred_allocation_available=True)

    def list_and_watch(self, stream: Stream) -> None:
        self._broadcaster.add(stream)

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse:
        snapshot = self._snapshot
        return pb.PreferredAllocationResponse(
            container_responses=[
                pb.ContainerPreferredAllocationResponse(
                    deviceIDs=select_preferred_ids(
                        snapshot.offer,
                        snapshot.devices,
                        container.available_deviceIDs,
                        container.must_include_deviceIDs,
                        container.allocation_size,
                    )
                )
                for container in request.container_requests
            ]
        )

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse:
        """Allocates for all containers of the request. Raises CallError with the device that cannot be allocated."""
        snapshot = self._snapshot
        try:
            responses = [self._respond(snapshot, container.devices_ids) for container in request.container_requests]
        except AllocationError as error:
            raise CallError(error.code, error.message) from error
        self._on_allocate(len(responses))
        return pb.AllocateResponse(container_responses=[render_response(response) for response in responses])

    def _respond(self, snapshot: _Snapshot, ids: Sequence[str]) -> Response:
        """Builds the response for one container. Raises AllocationError or CallError."""
        if (reason := refusal_reason(snapshot.offer, snapshot.devices, ids)) is not None:
            raise CallError("INVALID_ARGUMENT", f"{self.resource}: {reason}")
        return build_response(self.resource, snapshot.devices, ids, snapshot.strategies)
