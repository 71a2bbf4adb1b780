"""HTTP/2 by hand: a client that does what no gRPC library does, and a server that answers what it is told to."""

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
    """What `h2` is told to do is sent by `flush`. Reading waits a minute at most."""

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

    def greet(self) -> Self:
        self.h2.initiate_connection()
        self.flush()
        return self

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def open(self, method: str, headers: Headers | None = None) -> int:
        """The headers of a call; its number."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, headers or render_request(method, None))
        return number

    def ask(self, method: str, data: bytes) -> int:
        number = self.open(method)
        while self.h2.local_flow_control_window(number) < len(data):
            self.flush()
            self._read()
        self.h2.send_data(number, data, end_stream=True)
        self.flush()
        return number

    def read_until(self, *kinds: type[Event]) -> Event:
        """The next event of these kinds. Raises EOFError when the server has closed the connection."""
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
        with suppress(OSError):  # the server may have closed the connection after its last word
            self.flush()

    def status(self, number: int) -> tuple[bytes, bytes]:
        """(grpc-status, grpc-message) of a call."""
        while True:
            event = self.read_until(ResponseReceived, TrailersReceived)
            assert isinstance(event, ResponseReceived | TrailersReceived)
            fields = dict(event.headers or [])
            if event.stream_id == number and b"grpc-status" in fields:
                return fields[b"grpc-status"], fields.get(b"grpc-message", b"")

    def is_hung_up(self) -> bool:
        """Reads to the end, which comes when the server closes the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


class RawServer:
    """Answers one call as a function says that gets the connection and the number of the call."""

    def __init__(self, path: Path, answer: Callable[[H2Connection, int], Sequence[bytes] | None]) -> None:
        self._listener = listen(path)
        self._answer = answer
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
            for raw in self._answer(connection, 1) or ():
                peer.sendall(raw)
            peer.sendall(connection.data_to_send())
