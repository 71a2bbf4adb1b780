"""The life of one resource: its socket, its registration, and the kubelet's calls.

Calls come in gRPC's threads and are answered from memory: no call into the driver, no disk, no lock held for long.
Everything else is done by the thread that owns the plugin. Source: Kubernetes documentation, Device Plugins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_plugin.allocate.preferred import preferred_ids
from device_plugin.allocate.replicas import why_refused
from device_plugin.allocate.respond import AllocationError, Response, Strategy, respond
from device_plugin.board import MAX_STREAMS, DeviceBoard
from device_plugin.devices import Device, DeviceId, Offer
from device_plugin.wire import render_devices, render_response
from node_core.domain.resources import ResourceName, short_name
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import DEFAULT, Manner, register
from node_core.kubelet.rpc import CallError
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import Stream, alpha_handler, device_plugin_handler
from node_core.kubelet.sockets import Stamp, read_stamp

CALL_THREADS = 8
RETIRE_SECONDS = 0.5
"""How long the last, empty list may take to reach the kubelet."""
STOP_SECONDS = 0.2


def socket_path(directory: Path, resource: ResourceName) -> Path:
    """`nvidia-gpu.sock`, as NVIDIA's plugin calls it."""
    return directory / f"nvidia-{short_name(resource)}.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What calls are answered from. It is replaced as a whole, so no call sees half of a change. devices: of the offer, by id."""

    offer: Offer
    devices: Mapping[DeviceId, Device]
    strategies: tuple[Strategy, ...]


def _answers(offer: Offer, strategies: Sequence[Strategy]) -> _Answers:
    return _Answers(offer=offer, devices={device.id: device for device in offer.devices}, strategies=tuple(strategies))


class ResourcePlugin:
    """strategies: how containers are told of their devices. on_stream_end, on_allocate: called in any thread.

    on_allocate gets the number of containers. manner: of registering.
    """

    def __init__(
        self,
        resource: ResourceName,
        offer: Offer,
        *,
        directory: Path,
        kubelet_socket: Path,
        strategies: Sequence[Strategy],
        on_stream_end: Callable[[], None] = lambda: None,
        on_allocate: Callable[[int], None] = lambda _: None,
        manner: Manner = DEFAULT,
    ) -> None:
        self.resource = resource
        self.path = socket_path(directory, resource)
        self.registered_at: Stamp | None = None
        self._kubelet_socket = kubelet_socket
        self._answers = _answers(offer, strategies)
        self._on_allocate = on_allocate
        self._manner = manner
        self._board = DeviceBoard(offer.devices, on_leave=on_stream_end)
        self._server: UnixServer | None = None

    @property
    def registered(self) -> bool:
        """Whether the kubelet whose socket is there now has taken our registration."""
        return self.registered_at is not None and self.registered_at == read_stamp(self._kubelet_socket)

    @property
    def is_serving(self) -> bool:
        """Whether our socket is where the kubelet looks for it."""
        return self._server is not None and self._server.is_in_place

    @property
    def streams(self) -> int:
        """Open ListAndWatch calls: 1 while all is well."""
        return self._board.streams

    @property
    def offer(self) -> Offer:
        return self._answers.offer

    def serve(self) -> None:
        """Puts a new server in the place of the old one, if any. Raises KubeletError.

        The old one goes first: the kubelet takes the end of an old connection for the end of the resource.
        """
        self._drop_server()
        server = UnixServer(
            self.path,
            device_plugin_handler(self),
            alpha_handler(self),
            threads=CALL_THREADS + MAX_STREAMS,
            name=self.path.stem,
        )
        server.start()
        self._server = server

    def register(self) -> None:
        """Raises KubeletError. Serve first: the kubelet connects back at once."""
        stamp = read_stamp(self._kubelet_socket)  # before the call: a kubelet that comes up during it is another one
        self.registered_at = None
        register(self._kubelet_socket, self.resource, self.path.name, self.options(), self._manner)
        self.registered_at = stamp

    def forget_registration(self) -> None:
        self.registered_at = None

    def update(self, offer: Offer, strategies: Sequence[Strategy] | None = None) -> bool:
        """Tells the kubelet what differs; whether anything did. strategies: those from now on, None for the same.

        The socket and the streams stay, so whoever has a device keeps it.
        """
        self._answers = _answers(offer, self._answers.strategies if strategies is None else strategies)
        return self._board.publish(offer.devices)

    def stop(self, *, retire: bool = False) -> None:
        """Ends in less than a second. retire: the resource is gone for good, so an empty list goes first and the kubelet shows 0.

        Without it the kubelet keeps the capacity for the next process.
        """
        if retire:
            self._board.publish(())
        self._board.close()
        self.registered_at = None
        if self._server is not None:
            self._server.stop(RETIRE_SECONDS if retire else STOP_SECONDS)
            self._server = None

    def options(self) -> pb.DevicePluginOptions:
        return pb.DevicePluginOptions(get_preferred_allocation_available=True)

    def list_and_watch(self, stream: Stream) -> Iterator[pb.ListAndWatchResponse]:
        return map(render_devices, self._board.follow(stream))

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse:
        """Never fails."""
        answers = self._answers
        return pb.PreferredAllocationResponse(
            container_responses=[
                pb.ContainerPreferredAllocationResponse(
                    deviceIDs=preferred_ids(
                        answers.offer,
                        answers.devices,
                        asked.available_deviceIDs,
                        asked.must_include_deviceIDs,
                        asked.allocation_size,
                    )
                )
                for asked in request.container_requests
            ]
        )

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse:
        """All containers of the request, or an error that names the device that stands in the way."""
        answers = self._answers
        try:
            responses = [self._respond(answers, asked.devices_ids) for asked in request.container_requests]
        except AllocationError as error:
            raise CallError(error.code, error.message) from error
        self._on_allocate(len(responses))
        return pb.AllocateResponse(container_responses=[render_response(response) for response in responses])

    def _respond(self, answers: _Answers, ids: Sequence[str]) -> Response:
        """Raises AllocationError or CallError."""
        if (why := why_refused(answers.offer, answers.devices, ids)) is not None:
            raise CallError("INVALID_ARGUMENT", f"{self.resource}: {why}")
        return respond(self.resource, answers.devices, ids, answers.strategies)

    def _drop_server(self) -> None:
        self.registered_at = None
        self._board.end_streams()
        if self._server is not None:
            self._server.stop(STOP_SECONDS)
            self._server = None
