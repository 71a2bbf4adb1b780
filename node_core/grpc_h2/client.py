"""A gRPC client on a Unix socket. Each call opens a separate connection and runs in the caller's thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from node_core.grpc_h2.exchange import Deadline, Exchange, late
from node_core.grpc_h2.messages import MAX_BYTES
from node_core.grpc_h2.status import CallError


class Client:
    """A client. Thread-safe. Every call can raise CallError. max_bytes: the maximum size of one response message."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends open and later calls with CANCELLED."""
        with self._lock:
            self._is_closed = True
            for peer in self._open:
                _shut(peer)

    def call(self, method: str, request: bytes, *, timeout: float | None = None) -> bytes:
        """Calls a unary method and returns the response. method: `/package.Service/Method`. timeout: seconds."""
        responses = list(self.stream(method, request, timeout=timeout))
        if len(responses) != 1:
            raise CallError("INTERNAL", f"{method} returned {len(responses)} responses instead of one")
        return responses[0]

    def stream(self, method: str, request: bytes, *, timeout: float | None = None) -> Iterator[bytes]:
        """Calls a streaming method and yields each response. Closing the generator ends the call. timeout: seconds."""
        deadline = Deadline(timeout)
        with socket.socket(socket.AF_UNIX) as peer:
            try:
                self._connect(peer, deadline)
                yield from Exchange(peer, self._max_bytes, deadline).run(method, request)
            except CallError as error:
                raise (_closed() if self._is_closed else error) from error
            finally:
                with self._lock:
                    self._open.discard(peer)

    def _connect(self, peer: socket.socket, deadline: Deadline) -> None:
        try:
            peer.settimeout(deadline.left())
            peer.connect(str(self._path))
        except TimeoutError as error:
            raise late() from error
        except OSError as error:
            raise CallError("UNAVAILABLE", f"cannot connect to {self._path}: {error.strerror}") from error
        with self._lock:
            if self._is_closed:
                raise _closed()
            self._open.add(peer)


def _shut(peer: socket.socket) -> None:
    """Shuts the socket down, so that the thread that reads from the socket returns."""
    with suppress(OSError):  # the server may have closed the connection
        peer.shutdown(socket.SHUT_RDWR)


def _closed() -> CallError:
    return CallError("CANCELLED", "the client was closed")
