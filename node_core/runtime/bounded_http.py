"""An HTTP server for untrusted clients. The number of connections, the time and the size of a request are limited. TLS is optional.

A connection is idle until the server has received a whole request. A connection beyond the limit replaces an idle connection: the oldest
one of the client address with the most connections. Therefore a client that leaves connections open cannot block probes.
"""

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from node_core.host.stoppable_thread import StoppableThread, WakeReason

MAX_CONNECTIONS = 32
"""Default maximum number of open connections. Probes and one or two scrapers need about five."""
ACCEPT_RETRY_SECONDS = 1.0
"""Seconds between two attempts after a failure to accept a connection, for example if all file descriptors are in use."""
REQUEST_SECONDS = 10.0
"""Maximum seconds for each of: the TLS handshake, receiving the request, sending the response."""
GOODBYE_SECONDS = 1.0
"""Maximum seconds for the TLS shutdown after the response was sent."""
REQUEST_BYTES = 32 << 10
"""Maximum size of the request line and the headers. A service account token has about 2000 bytes."""

Context = Callable[[], ssl.SSLContext | None]
"""Returns the current TLS context, or None if no connection can be served at present."""


class RequestTooLargeError(http.client.HTTPException):
    """A request is larger than REQUEST_BYTES. http.server responds with 431 if the error occurs while reading headers."""


class RequestReader(io.RawIOBase):
    """Reads the bytes of one request. Raises TimeoutError after REQUEST_SECONDS, and RequestTooLargeError after REQUEST_BYTES."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._deadline = clock() + REQUEST_SECONDS
        self._left = REQUEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._deadline - self._clock()
        if seconds <= 0:
            raise TimeoutError
        if self._left <= 0:
            raise RequestTooLargeError
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class ResponseWriter(io.BufferedIOBase):
    """Sends the bytes of one response. Raises TimeoutError if sending takes more than REQUEST_SECONDS, counted from the first write."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._deadline: float | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._deadline is None:
            self._deadline = self._clock() + REQUEST_SECONDS
        count = 0
        while count < len(data):
            seconds = self._deadline - self._clock()
            if seconds <= 0:
                raise TimeoutError
            self._connection.settimeout(seconds)
            count += self._connection.send(memoryview(data)[count:])
        return count


class Connection:
    """The connection of one client. socket: replaced by the TLS socket before the handshake. source: the client's address."""

    def __init__(self, client: socket.socket, source: str) -> None:
        self.socket = client
        self.source = source
        self.is_idle = True

    def cut(self) -> None:
        """Ends the connection from any thread: the serving thread then reads the end. SSLSocket.shutdown would break the reader."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Connections:
    """The open connections, oldest first. Callable from any thread."""

    def __init__(self, maximum: int = MAX_CONNECTIONS) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._open: list[Connection] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> bool:
        """Adds a connection. Returns False if the limit is reached and no connection is idle."""
        with self._lock:
            if len(self._open) >= self._maximum:
                victim = select_connection_to_close(self._open)
                if victim is None:
                    return False
                self._open.remove(victim)
                victim.cut()
            self._open.append(connection)
            return True

    def remove(self, connection: Connection) -> None:
        """Removes a connection. Call before the socket is closed: `cut` must not shut down another connection with the same descriptor."""
        with self._lock:
            if connection in self._open:
                self._open.remove(connection)


def select_connection_to_close(connections: list[Connection]) -> Connection | None:
    """Returns the oldest idle connection of the client address with the most connections. Returns None if no connection is idle."""
    counts = Counter(each.source for each in connections)
    return max((each for each in connections if each.is_idle), key=lambda each: counts[each.source], default=None)


class BoundedHandler(BaseHTTPRequestHandler):
    """Handles one request per connection, as in HTTP/1.0. Responses do not contain the server version. server: the Connection."""

    server_version = "gpunode"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(RequestReader(self.connection))
        self.wfile = ResponseWriter(self.connection)

    def parse_request(self) -> bool:
        is_whole = super().parse_request()
        self.server.is_idle = not is_whole  # type: ignore[attr-defined]
        return is_whole

    def log_message(self, *_: Any) -> None:
        """Logs nothing: probes arrive every few seconds."""


class BoundedServer:
    """Serves a listening socket until `stop`. context: returns the TLS context. None: plain HTTP."""

    def __init__(
        self,
        listener: socket.socket,
        handler: type[BoundedHandler],
        context: Context | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.connections = Connections(max_connections)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._handler: Any = handler
        self._context = context
        self._thread = StoppableThread("health")
        listener.setblocking(False)  # a client can disconnect before the accept

    def start(self) -> None:
        self._thread.start(self._accept_all)

    def stop(self) -> None:
        """Stops accepting connections, then returns. Responses in progress continue."""
        self._thread.stop()
        self._listener.close()

    def _accept_all(self) -> None:
        while self._thread.wait(self._listener.fileno(), None) is not WakeReason.STOP:
            try:
                client, address = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError:
                self._thread.wait(None, ACCEPT_RETRY_SECONDS)
            else:
                self._begin(Connection(client, str(address[0])))

    def _begin(self, connection: Connection) -> None:
        if not self.connections.add(connection):
            connection.socket.close()
            return
        try:
            threading.Thread(target=self._serve, args=(connection,), name="health-connection", daemon=True).start()
        except RuntimeError:  # no thread can be started at present
            self.connections.remove(connection)
            connection.socket.close()

    def _serve(self, connection: Connection) -> None:
        """Serves a connection, in a separate thread. Disconnects, timeouts and TLS failures of clients are not logged."""
        with contextlib.suppress(Exception), self._secured(connection):
            self._handler(connection.socket, connection.socket.getpeername(), connection)
        self.connections.remove(connection)
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)
        connection.socket.close()

    @contextlib.contextmanager
    def _secured(self, connection: Connection) -> Iterator[None]:
        """Wraps the connection in TLS if TLS is configured. Raises OSError."""
        if self._context is None:
            yield
            return
        context = self._context()
        if context is None:
            raise ConnectionAbortedError
        connection.socket.settimeout(REQUEST_SECONDS)
        secured = connection.socket = context.wrap_socket(
            connection.socket, server_side=True, do_handshake_on_connect=False
        )
        secured.do_handshake()
        yield
        secured.settimeout(GOODBYE_SECONDS)
        secured.unwrap()
