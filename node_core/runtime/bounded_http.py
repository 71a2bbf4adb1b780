"""An HTTP server for strangers: a bounded number of connections, each with a bounded time and a bounded request. Optional TLS."""

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_CONNECTIONS = 32
"""At once; those beyond are closed without an answer. Probes and a scraper or two need a handful."""
REQUEST_SECONDS = 10.0
"""For a whole request to arrive, its TLS handshake apart, and then again for its answer to be taken."""
GOODBYE_SECONDS = 1.0
"""For TLS to be ended in good order, by one who has the answer already."""
REQUEST_BYTES = 32 << 10
"""Of a request line with its headers. A token of a service account has two thousand."""

Context = Callable[[], ssl.SSLContext | None]
"""What TLS is spoken with now; None when no connection can be served now."""


class RequestTooLargeError(http.client.HTTPException):
    """More than REQUEST_BYTES; http.server answers 431 to such errors in headers."""


class RequestReader(io.RawIOBase):
    """The bytes of one request, until its time or its size is up. Raises TimeoutError and RequestTooLargeError."""

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


class AnswerWriter(io.BufferedIOBase):
    """Takes the bytes of one answer until its time is up, which begins with the first. Raises TimeoutError."""

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


class BoundedHandler(BaseHTTPRequestHandler):
    """One request a connection, as HTTP/1.0 has it. The server says nothing of what it is made of."""

    server_version = "gpunode"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(RequestReader(self.connection))
        self.wfile = AnswerWriter(self.connection)

    def log_message(self, *_: Any) -> None:
        """Probes every few seconds are not worth a line."""


class BoundedServer(ThreadingHTTPServer):
    """Serves a listening socket. context: what TLS is spoken with; None for plain HTTP."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type[BoundedHandler], context: Context | None = None) -> None:
        # bound by the caller, because HTTPServer looks its own name up in the DNS when it binds
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_address = listener.getsockname()
        self._context = context
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that a slow handshake holds up nobody else."""
        if self._context is None:
            super().finish_request(request, client_address)
            return
        context = self._context()
        if context is None:
            return
        request.settimeout(REQUEST_SECONDS)
        with context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)
            with contextlib.suppress(OSError):
                secured.settimeout(GOODBYE_SECONDS)
                secured.unwrap()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, is too slow or speaks no TLS is no news."""
