"""An HTTP/2 client and an HTTP/2 server for requests and responses that no gRPC library sends."""

import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, TrailersReceived

from node_core.grpc_h2.headers import Headers, render_request


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    return listener


class RawClient:
    """An HTTP/2 client. Methods of `h2` only buffer frames, and `flush` sends the frames. A read ends after at most a minute."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._events: deque[Event] = deque()
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send_preface(self) -> Self:
        self.h2.initiate_connection()
        self.flush()
        return self

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def open(self, method: str, headers: Headers | None = None) -> int:
        """Buffers the headers of a call. Returns the number of the call."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, headers or render_request(method, None))
        return number

    def call(self, method: str, data: bytes) -> int:
        number = self.open(method)
        while self.h2.local_flow_control_window(number) < len(data):
            self.flush()
            self._read()
        self.h2.send_data(number, data, end_stream=True)
        self.flush()
        return number

    def read_until(self, *kinds: type[Event]) -> Event:
        """Returns the next event of these kinds. Raises EOFError if the server has closed the connection."""
        while True:
            while self._events:
                if isinstance(event := self._events.popleft(), kinds):
                    return event
            self._read()

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        for event in self.h2.receive_data(data):
            self._events.append(event)
            if isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        with suppress(OSError):  # the server may have closed the connection after its last message
            self.flush()

    def status(self, number: int) -> tuple[bytes, bytes]:
        """Returns the fields grpc-status and grpc-message of a call."""
        while True:
            event = self.read_until(ResponseReceived, TrailersReceived)
            assert isinstance(event, ResponseReceived | TrailersReceived)
            fields = dict(event.headers or [])
            if event.stream_id == number and b"grpc-status" in fields:
                return fields[b"grpc-status"], fields.get(b"grpc-message", b"")

    def is_closed(self) -> bool:
        """Reads until the server closes the connection. Returns True."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


class RawServer:
    """A server for one call. respond: sends the response on the connection, for the number of the call, and returns raw bytes to send."""

    def __init__(self, path: Path, respond: Callable[[H2Connection, int], Sequence[bytes] | None]) -> None:
        self._listener = listen(path)
        self._respond = respond
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            connection = H2Connection(
                H2Configuration(client_side=False, header_encoding=None, validate_outbound_headers=False)
            )
            connection.initiate_connection()
            ended = False
            while not ended:
                for event in connection.receive_data(peer.recv(65536)):
                    ended = ended or isinstance(event, StreamEnded)
            for raw in self._respond(connection, 1) or ():
                peer.sendall(raw)
            peer.sendall(connection.data_to_send())
