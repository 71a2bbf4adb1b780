"""HTTP/1.1 over TLS on loopback: connections, bodies, chunks. What a request means is `answers`' to say."""

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from node_core.simulate.apiserver.answers import Answer, Asked, answer
from node_core.simulate.apiserver.status import ApiError, Obj

if TYPE_CHECKING:
    from node_core.simulate.apiserver.server import ApiServer

LARGEST_BODY = 3 << 20
IDLE_SECONDS = 300.0
STAND_IN_HEADER = ("X-Gpunode-Simulated", "stand-in for kube-apiserver")


class HttpServer:
    """Serves in its own threads until `stop`, which cuts every connection and waits for the threads."""

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
        """In the connection's own thread, so that a slow handshake holds up nobody else."""
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
                    # Not SSLSocket.shutdown: that takes the TLS state away from under the thread that reads.
                    socket.socket.shutdown(secured, socket.SHUT_RDWR)
        self.api_server.store.wake()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or speaks no TLS, is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    server_version = "gpunode-simulated-apiserver"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  the base class looks for these names

    def log_message(self, *_: Any) -> None:
        """Nothing per request on standard error."""

    def _serve(self) -> None:
        try:
            asked = self._asked()
            reply = answer(self.server.api_server, asked, self.server.stopping.is_set)
        except ApiError as error:
            reply = Answer.of(error.status, error.body())
        except Exception as error:  # noqa: BLE001  the stand-in must outlive its own mistakes, and say them
            failure = ApiError(500, "InternalError", f"Internal error occurred: {type(error).__name__}: {error}")
            reply = Answer.of(500, failure.body())
        if reply.stream is None:
            self._send(reply)
        else:
            self._send_stream(reply.stream)

    def _asked(self) -> Asked:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(method=self.command, url=self.path, headers=headers, body=self._read_body())

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise ApiError(411, "BadRequest", "a body needs a Content-Length here")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            self._discard(int(length))
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}")
        return self.rfile.read(int(length))

    def _discard(self, length: int) -> None:
        """A client reads the refusal only after it could send; but not for more than a few times what is allowed."""
        remaining = min(length, 4 * LARGEST_BODY)
        while remaining > 0 and (chunk := self.rfile.read(min(remaining, 1 << 16))):
            remaining -= len(chunk)

    def _send(self, reply: Answer) -> None:
        self.send_response(reply.status)
        self._send_headers(reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        if reply.status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if reply.status == 429:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)

    def _send_stream(self, events: Iterator[tuple[str, Obj] | None]) -> None:
        self.send_response(200)
        self._send_headers("application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            if event is None:
                if self._client_left():
                    return
                continue
            line = json.dumps({"type": event[0], "object": event[1]}, separators=(",", ":")).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _client_left(self) -> bool:
        """During a watch a client has nothing more to say: what can be read is the end of the connection."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        self.close_connection |= bool(readable)
        return bool(readable)

    def _send_headers(self, content_type: str) -> None:
        self.send_header(*STAND_IN_HEADER)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-cache, private")
