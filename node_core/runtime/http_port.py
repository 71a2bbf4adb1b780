"""A port that serves GET requests from memory, to untrusted clients. See `bounded_http` for the limits."""

import re
import socket
import threading
from collections.abc import Callable
from email.message import Message

import msgspec

from node_core.runtime.bounded_http import MAX_CONNECTIONS, BoundedHandler, BoundedServer, Connections, Context

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """encoding: the Content-Encoding of the body; None for none. varies: the names of request headers that select the body."""

    status: int = 200
    body: bytes
    content_type: str = TEXT
    encoding: str | None = None
    varies: str | None = None


Respond = Callable[[str, Message], Response]
"""Returns the response for a path without a query, and the headers of the request. Called in a thread for each connection."""


def parse_address(text: str) -> tuple[str, int]:
    """Parses `host:port`, `[::1]:port`, or `:port` for all addresses. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: use host:port or :port, with a port up to 65535")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{text!r} is not an address: put an IPv6 host in brackets, as in [::1]:8080")
    return host.strip("[]"), int(port)


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening socket. An empty host means all addresses, including IPv6 if the host supports IPv6. Raises OSError."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


class HttpPort:
    """Listens on host:port. Port 0 selects an unused port. An empty address serves nothing.

    context: returns the TLS context. None: plain HTTP.
    """

    def __init__(
        self,
        address: str,
        respond: Respond,
        *,
        context: Context | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._address, self._respond, self._context = address, respond, context
        self._max_connections = max_connections
        self._starting = threading.Lock()
        self._is_stopped = False
        self._server: BoundedServer | None = None

    @property
    def port(self) -> int:
        return self._server.port if self._server else 0

    @property
    def connections(self) -> Connections:
        """The open connections."""
        return self._server.connections if self._server else Connections()

    def start(self) -> str | None:
        """Starts the server in the background, unless it runs or was stopped. Returns why the address is not available, or None."""
        with self._starting:
            if not self._address or self._server is not None or self._is_stopped:
                return None
            try:
                listener = listen(*parse_address(self._address))
            except OSError as error:
                return error.strerror or str(error)
            server = BoundedServer(listener, self._handler(), self._context, max_connections=self._max_connections)
            server.start()
            self._server = server
            return None

    def stop(self) -> None:
        with self._starting:
            self._is_stopped = True
        if self._server is not None:
            self._server.stop()

    def _handler(self) -> type[BoundedHandler]:
        respond = self._respond

        class Handler(BoundedHandler):
            def do_GET(self) -> None:  # noqa: N802 - http.server calls this name
                response = respond(self.path.partition("?")[0], self.headers)
                self.send_response(response.status)
                self.send_header("Content-Type", response.content_type)
                self.send_header("Content-Length", str(len(response.body)))
                if response.encoding:
                    self.send_header("Content-Encoding", response.encoding)
                if response.varies:
                    self.send_header("Vary", response.varies)
                if response.status == 401:
                    self.send_header("WWW-Authenticate", "Bearer")
                self.end_headers()
                self.wfile.write(response.body)

        return Handler
