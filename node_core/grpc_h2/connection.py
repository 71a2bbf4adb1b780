"""The server side of one client's connection: decodes bytes to calls and encodes responses to bytes.

Only the server's thread uses the connection. The connection never blocks.
"""

import socket
from collections.abc import Callable, Iterator
from functools import partial

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from node_core.grpc_h2.call import Call
from node_core.grpc_h2.header_blocks import BlockDecoder, BlockEncoder
from node_core.grpc_h2.headers import RESPONSE, Headers, parse_request, render_trailers
from node_core.grpc_h2.messages import MAX_BYTES
from node_core.grpc_h2.methods import Methods, Unary
from node_core.grpc_h2.status import CallError, Status

MAX_CALLS = 32
"""The maximum number of open calls of one client."""
MAX_REQUEST_BYTES = 2 * MAX_BYTES
"""The maximum size of a client's buffered requests in bytes."""
MAX_OUTPUT_BYTES = 64 << 10
"""The limit of unsent bytes. Above the limit, the connection renders no frames and reads no data from the client."""
_READ = 64 << 10
_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_outbound_headers=False,  # outbound headers are constants and percent-encoded text
    normalize_outbound_headers=False,
    validate_inbound_headers=False,  # parse_request checks the required headers and ignores other headers
    normalize_inbound_headers=False,
)


def _open_h2() -> H2Connection:
    connection = H2Connection(_CONFIG)
    connection.encoder = BlockEncoder()
    connection.decoder = BlockDecoder(connection.DEFAULT_MAX_HEADER_LIST_SIZE)
    connection.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CALLS,
            SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
        },
    )
    connection.initiate_connection()
    return connection


class Connection:
    """One connection. post: runs a function and then this connection's `write` in the server's thread. Any thread may call post."""

    def __init__(
        self, peer: socket.socket, methods: Methods, post: Callable[["Connection", Callable[[], None]], None]
    ) -> None:
        self.peer = peer
        self.is_closed = False
        self._methods = methods
        self._post = post
        self._calls: dict[int, Call] = {}
        self._output = bytearray()
        self._h2 = _open_h2()

    @property
    def calls(self) -> int:
        """The number of open calls."""
        return len(self._calls)

    @property
    def wants_read(self) -> bool:
        return len(self._output) < MAX_OUTPUT_BYTES

    @property
    def wants_write(self) -> bool:
        return bool(self._output)

    def deadlines(self) -> Iterator[float]:
        """Returns the deadlines of the calls without a final status. Clock: time.monotonic()."""
        return (call.deadline for call in self._calls.values() if call.deadline is not None and call.ending is None)

    def expire(self, now: float) -> None:
        """Ends the calls whose deadline is not later than now."""
        for call in self._calls.values():
            if call.deadline is not None and call.deadline <= now:
                call.abort("DEADLINE_EXCEEDED", "Deadline Exceeded")
        self.write()

    def read(self) -> None:
        """Reads data from the client, handles the events and sends the responses."""
        try:
            data = self.peer.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
            self.write()
        except H2Error:
            self._flush()  # h2 has rendered a GOAWAY frame with the reason
            self.close()

    def write(self) -> None:
        """Sends as much output as the client accepts without blocking."""
        has_more = not self.is_closed
        while has_more:
            has_more = self._render()
            self._flush()
            has_more = has_more and not self.wants_write

    def close(self) -> None:
        """Closes the socket and ends every open call."""
        self.is_closed = True
        self._output.clear()
        self.peer.close()
        while self._calls:
            self._calls.popitem()[1].on_end()

    def go_away(self) -> None:
        """Sends GOAWAY and closes the connection, so that the client opens a new connection."""
        if not self.is_closed:
            self._h2.close_connection()
            self._flush()
            self.close()

    def _handle(self, event: Event) -> None:
        """Handles an event. Sends no data, because a later event of the same read can end the call."""
        match event:
            case RequestReceived(stream_id=int(number), headers=list(headers)):
                self._open(number, headers)
            case DataReceived(stream_id=int(number), data=bytes(data), flow_controlled_length=int(size)):
                self._h2.acknowledge_received_data(size, number)
                self._receive(number, data)
            case StreamEnded(stream_id=int(number)):
                self._run(number)
            case StreamReset(stream_id=int(number)):
                if call := self._calls.pop(number, None):
                    call.on_end()
            case ConnectionTerminated():
                self.close()

    def _open(self, number: int, headers: Headers) -> None:
        call = self._calls[number] = Call(number)
        try:
            request = parse_request(headers)
        except CallError as error:
            call.abort(error.code, error.message)
            return
        call.path = request.path
        call.limit(request.timeout)
        if call.path not in self._methods:
            call.abort("UNIMPLEMENTED", f"unknown method {call.path}")

    def _receive(self, number: int, data: bytes) -> None:
        call = self._calls.get(number)
        if call is None or call.ending is not None:
            return
        try:
            call.receive(data)
        except CallError as error:
            call.abort(error.code, error.message)
        if sum(each.buffered for each in self._calls.values()) > MAX_REQUEST_BYTES:
            call.abort("RESOURCE_EXHAUSTED", f"the open requests of the client exceed {MAX_REQUEST_BYTES} bytes")

    def _run(self, number: int) -> None:
        call = self._calls.get(number)
        if call is None:
            return
        call.is_request_over = True
        if call.ending is None:
            try:
                self._start(call)
            except CallError as error:
                call.abort(error.code, error.message)
            except Exception as error:  # noqa: BLE001 - an error in one method must end only that call
                call.abort("INTERNAL", f"{type(error).__name__}: {error}")

    def _start(self, call: Call) -> None:
        method, request = self._methods[call.path], call.pop_request()
        if isinstance(method, Unary):
            call.offer(method.respond(request))
            call.end()
        else:
            method.start(request, _Out(call, partial(self._post, self)))

    def _render(self) -> bool:
        """Renders one frame of each call in turn, until no call can send or the unsent output reaches the limit.

        Returns whether a call can send more.
        """
        waiting = list(self._calls.values())
        while waiting and self.wants_read:
            waiting = [call for call in waiting if self._render_frame(call)]
            self._output += self._h2.data_to_send()
        return bool(waiting)

    def _render_frame(self, call: Call) -> bool:
        """Renders one frame of the call. Returns whether the call has more output."""
        if call.has_output():
            size = min(self._h2.local_flow_control_window(call.number), self._h2.max_outbound_frame_size)
            if size <= 0:
                return False
            self._begin(call)
            self._h2.send_data(call.number, bytes(call.output[:size]))
            call.output = call.output[size:]
        if call.has_output():
            return True
        if call.ending is not None:
            self._finish(call, *call.ending)
        return False

    def _begin(self, call: Call) -> None:
        if not call.has_begun:
            call.has_begun = True
            self._h2.send_headers(call.number, RESPONSE)

    def _finish(self, call: Call, status: Status, message: str) -> None:
        del self._calls[call.number]
        trailers = render_trailers(status, message)
        self._h2.send_headers(call.number, trailers if call.has_begun else [*RESPONSE, *trailers], end_stream=True)
        if not call.is_request_over:
            self._h2.reset_stream(call.number, ErrorCodes.NO_ERROR)
        call.on_end()

    def _flush(self) -> None:
        self._output += self._h2.data_to_send()
        try:
            while self._output:
                del self._output[: self.peer.send(self._output)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()


class _Out:
    """The ResponseStream of a streaming call. post: runs a function in the server's thread and then sends the output."""

    def __init__(self, call: Call, post: Callable[[Callable[[], None]], None]) -> None:
        self._call = call
        self._post = post

    def send(self, message: bytes) -> None:
        self._post(partial(self._call.offer, message))

    def close(self) -> None:
        self._post(self._call.end)

    def abort(self, code: str, message: str) -> None:
        self._post(partial(self._call.abort, code, message))

    def on_end(self, callback: Callable[[], None]) -> None:
        self._call.on_end = callback
