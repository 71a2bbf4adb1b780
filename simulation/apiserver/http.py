"""HTTP/1.1 over TLS on loopback: connections, bodies, chunks. `handler` returns the responses."""

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from simulation.apiserver.handler import HttpRequest, HttpResponse, handle
from simulation.apiserver.status import ApiError, Obj

if TYPE_CHECKING:
    from simulation.apiserver.server import ApiServer

LARGEST_BODY = 3 << 20
IDLE_SECONDS = 300.0
SIMULATION_HEADER = ("X-Gpunode-Simulated", "simulated kube-apiserver")


class HttpServer:
    """Serves in separate threads until `stop`, which closes all connections and waits for the threads."""

    def __init__(self, api_server: "ApiServer", port: int, context: ssl.SSLContext) -> None:
        self._server = _Listener(("127.0.0.1", port), api_server, context)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="simulated-apiserver", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.cut_connections()
        self._server.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # server_close then waits for them
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], api_server: "ApiServer", context: ssl.SSLContext) -> None:
        self.api_server = api_server
        self.stopping = threading.Event()
        self._context = context
        self._open: set[ssl.SSLSocket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the thread of the connection, so a slow handshake does not delay other clients."""
        request.settimeout(IDLE_SECONDS)
        with self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            with self._lock:
                self._open.add(secured)
            try:
                if not self.stopping.is_set():
                    secured.do_handshake()
                    _Handler(secured, client_address, self)
            finally:
                with self._lock:
                    self._open.discard(secured)

    def cut_connections(self) -> None:
        with self._lock:
            for secured in self._open:
                with contextlib.suppress(OSError):
                    # SSLSocket.shutdown would remove the TLS state while another thread reads.
                    socket.socket.shutdown(secured, socket.SHUT_RDWR)
        self.api_server.store.wake()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect or do not use TLS."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    server_version = "gpunode-simulated-apiserver"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  the base class calls methods with these names

    def log_message(self, *_: Any) -> None:
        """Does not log requests."""

    def _serve(self) -> None:
        try:
            http_request = self._read_request()
            response = handle(self.server.api_server, http_request, self.server.stopping.is_set)
        except ApiError as error:
            response = HttpResponse.from_object(error.status, error.body())
        except Exception as error:  # noqa: BLE001  a bug in the simulation must not stop the server
            failure = ApiError(500, "InternalError", f"Internal error occurred: {type(error).__name__}: {error}")
            response = HttpResponse.from_object(500, failure.body())
        if response.stream is None:
            self._send(response)
        else:
            self._send_stream(response.stream)

    def _read_request(self) -> HttpRequest:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return HttpRequest(method=self.command, url=self.path, headers=headers, body=self._read_body())

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise ApiError(411, "BadRequest", "the request has no Content-Length; chunked bodies are not supported")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            self._discard(int(length))
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}")
        return self.rfile.read(int(length))

    def _discard(self, length: int) -> None:
        """Reads and drops the body, up to four times the limit. A client reads the response only after it has sent its body."""
        remaining = min(length, 4 * LARGEST_BODY)
        while remaining > 0 and (chunk := self.rfile.read(min(remaining, 1 << 16))):
            remaining -= len(chunk)

    def _send(self, response: HttpResponse) -> None:
        self.send_response(response.status)
        self._send_headers(response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        if response.status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if response.status == 429:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.body)

    def _send_stream(self, events: Iterator[tuple[str, Obj] | None]) -> None:
        self.send_response(200)
        self._send_headers("application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            if event is None:
                if self._is_disconnected():
                    return
                continue
            line = json.dumps({"type": event[0], "object": event[1]}, separators=(",", ":")).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _is_disconnected(self) -> bool:
        """Returns whether the client has closed the connection. A client of a watch sends no more data, so readable means closed."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        self.close_connection |= bool(readable)
        return bool(readable)

    def _send_headers(self, content_type: str) -> None:
        self.send_header(*SIMULATION_HEADER)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-cache, private")
