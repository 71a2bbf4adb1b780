"""One call of a client on one connection. The caller's thread sends and receives.

Source: PROTOCOL-HTTP2.md of gRPC.
"""

import socket
import time
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from node_core.grpc_h2 import messages
from node_core.grpc_h2.headers import Headers, render_request
from node_core.grpc_h2.status import CallError, Status, decode_message, parse_status, status_of_http, status_of_reset

WINDOW = 1 << 20
"""The flow-control window in bytes: the maximum of data that the server sends before the client reads."""
_READ = 256 << 10
_CONFIG = H2Configuration(client_side=True, header_encoding=None)


class Deadline:
    """The deadline of one call. seconds: from now; None for no deadline."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Returns the remaining seconds, or None without a deadline. Raises CallError if the deadline has passed."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise late()
        return left


def late() -> CallError:
    return CallError("DEADLINE_EXCEEDED", "Deadline Exceeded")


class Exchange:
    """One call on one connection."""

    def __init__(self, peer: socket.socket, max_bytes: int, deadline: Deadline) -> None:
        self._peer = peer
        self._deadline = deadline
        self._decoder = messages.Decoder(max_bytes)
        self._responses: list[bytes] = []
        self._status: tuple[Status, str] | None = None
        self._h2 = _open_h2()
        self._number = self._h2.get_next_available_stream_id()

    def run(self, method: str, request: bytes) -> Iterator[bytes]:
        """Sends the request and yields the responses. Raises CallError unless the call ends with OK."""
        self._h2.send_headers(self._number, render_request(method, self._deadline.left()))
        rest = memoryview(messages.encode(request))
        while self._status is None:
            rest = self._send(rest)
            self._receive()
            responses, self._responses = self._responses, []
            yield from responses
        status, message = self._status
        if status is not Status.OK:
            raise CallError(status.name, message)

    def _send(self, rest: memoryview) -> memoryview:
        """Sends as much of the request as the server's window allows. Returns the remaining bytes of the request."""
        try:
            while rest and (window := self._h2.local_flow_control_window(self._number)) > 0:
                size = min(window, self._h2.max_outbound_frame_size)
                self._h2.send_data(self._number, bytes(rest[:size]), end_stream=size >= len(rest))
                rest = rest[size:]
            self._peer.settimeout(self._deadline.left())
            self._peer.sendall(self._h2.data_to_send())
        except TimeoutError as error:
            raise late() from error
        except (OSError, H2Error):
            return memoryview(
                b""
            )  # the server closed the connection or refused the call; _receive can still read the reason
        return rest

    def _receive(self) -> None:
        """Waits for data from the server and handles the events. Raises CallError."""
        try:
            self._peer.settimeout(self._deadline.left())
            data = self._peer.recv(_READ)
        except TimeoutError as error:
            raise late() from error
        except OSError as error:
            raise CallError("UNAVAILABLE", f"the connection failed: {error.strerror}") from error
        if not data:
            raise CallError("UNAVAILABLE", "the server closed the connection")
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except H2Error as error:
            raise CallError("UNAVAILABLE", f"the server violated the HTTP/2 protocol: {error}") from error

    def _handle(self, event: Event) -> None:
        match event:
            case ResponseReceived(headers=list(headers)) | TrailersReceived(headers=list(headers)):
                self._take_headers(headers)
            case DataReceived(data=bytes(data), flow_controlled_length=int(size)):
                self._h2.acknowledge_received_data(size, self._number)
                self._responses += self._decoder.feed(data)
            case StreamEnded():
                self._end(Status.INTERNAL, "the server ended the call without a status")
            case StreamReset(error_code=code):
                self._end(status_of_reset(int(code or 0)), f"the server reset the call with code {int(code or 0)}")
            case ConnectionTerminated():
                self._end(Status.UNAVAILABLE, "the server is stopping")

    def _take_headers(self, headers: Headers) -> None:
        fields = dict(headers)
        http = fields.get(b":status", b"200")
        if http != b"200":
            self._end(status_of_http(http), f"HTTP status {http.decode('latin-1')}")
        elif b"grpc-status" in fields:
            self._end(parse_status(fields[b"grpc-status"]), decode_message(fields.get(b"grpc-message", b"")))

    def _end(self, status: Status, message: str) -> None:
        """Sets the status of the call. Later calls do not change the status."""
        self._status = self._status or (status, message)


def _open_h2() -> H2Connection:
    connection = H2Connection(_CONFIG)
    connection.local_settings = Settings(
        client=True,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
            SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
        },
    )
    connection.initiate_connection()
    connection.increment_flow_control_window(WINDOW)
    return connection
