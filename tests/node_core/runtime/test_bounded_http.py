"""Limits of an HTTP server for untrusted clients: connections, time and bytes."""

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from node_core.runtime import bounded_http
from node_core.runtime.bounded_http import (
    MAX_CONNECTIONS,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    BoundedHandler,
    BoundedServer,
    Connection,
    Connections,
    Context,
    RequestReader,
    RequestTooLargeError,
    ResponseWriter,
    select_connection_to_close,
)
from tests.waiting import until


class PathHandler(BoundedHandler):
    """Responds with the path of the request."""

    def do_GET(self) -> None:  # noqa: N802 - http.server calls this name
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())


def listen(kind: type[socket.socket] = socket.socket) -> socket.socket:
    listener = kind()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


Serve = Callable[..., BoundedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[BoundedServer] = []

    def start(
        handler: type[BoundedHandler] = PathHandler,
        *,
        listener: socket.socket | None = None,
        context: Context | None = None,
    ) -> BoundedServer:
        server = BoundedServer(listener or listen(), handler, context)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def connect(server: BoundedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def send(server: BoundedServer, request: bytes) -> bytes:
    with connect(server) as client:
        client.sendall(request)
        return client.makefile("rb").read()


def get(server: BoundedServer) -> bytes:
    return send(server, b"GET /path HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_a_connection_serves_one_request(serve: Serve, version: bytes) -> None:
    server = serve()
    response = send(
        server, b"".join(b"GET %s %s\r\nConnection: keep-alive\r\n\r\n" % (path, version) for path in (b"/a", b"/b"))
    )
    assert response.count(b"200 OK") == 1
    assert response.endswith(b"\r\n\r\n/a")
    until(lambda: len(server.connections) == 0)


def test_the_source_with_the_most_connections_makes_room() -> None:
    sources = ["kubelet", "stranger", "stranger", "scraper"]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in sources]
        connections = [Connection(*each) for each in zip(sockets, sources, strict=True)]
        assert select_connection_to_close(connections) is connections[1]
        connections[1].is_idle = False
        assert select_connection_to_close(connections) is connections[2]
        connections[2].is_idle = False
        assert select_connection_to_close(connections) is connections[0]
        connections[0].is_idle = connections[3].is_idle = False
        assert select_connection_to_close(connections) is None


@pytest.fixture
def pairs() -> Iterator[list[tuple[Connection, socket.socket]]]:
    """Creates one connection more than the limit, each with the socket of its client. The sockets of clients do not block."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(MAX_CONNECTIONS + 1):
            local, peer = (stack.enter_context(each) for each in socket.socketpair())
            peer.setblocking(False)
            made.append((Connection(local, "client"), peer))
        yield made


def is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize("idle", [0, 3, MAX_CONNECTIONS - 1])
def test_a_connection_beyond_the_limit_replaces_the_oldest_idle_connection(
    pairs: list[tuple[Connection, socket.socket]], idle: int
) -> None:
    connections = Connections()
    for connection, _ in pairs[:-1]:
        assert connections.add(connection)
    for connection, _ in pairs[:idle]:
        connection.is_idle = False
    assert not any(is_cut(client) for _, client in pairs)
    assert connections.add(pairs[-1][0])
    assert [number for number, (_, client) in enumerate(pairs) if is_cut(client)] == [idle]
    assert len(connections) == MAX_CONNECTIONS


def test_a_connection_beyond_the_limit_is_refused_if_no_connection_is_idle(
    pairs: list[tuple[Connection, socket.socket]],
) -> None:
    connections = Connections()
    for connection, _ in pairs[:-1]:
        assert connections.add(connection)
        connection.is_idle = False
    last = pairs[-1][0]
    assert not connections.add(last)
    assert not any(is_cut(client) for _, client in pairs)
    connections.remove(last)  # a connection that was not added
    assert len(connections) == MAX_CONNECTIONS
    connections.remove(pairs[0][0])
    assert connections.add(last)


def test_a_request_has_a_limited_time_even_if_its_bytes_arrive_slowly() -> None:
    local, peer = socket.socketpair()
    now = [0.0]
    with local, peer:
        reader = io.BufferedReader(RequestReader(local, clock=lambda: now[0]))
        for part in (b"GET ", b"/healthz"):
            peer.sendall(part)
            now[0] += REQUEST_SECONDS / 3
            assert reader.read1() == part
        peer.sendall(b" HTTP/1.0")
        now[0] += REQUEST_SECONDS / 3
        with pytest.raises(TimeoutError):
            reader.read1()


def test_a_request_has_a_limited_size() -> None:
    local, peer = socket.socketpair()
    with local, peer:
        sending = threading.Thread(target=peer.sendall, args=(b"x" * (REQUEST_BYTES + 1),))
        sending.start()
        reader, buffer, size = RequestReader(local), bytearray(2 * REQUEST_BYTES), 0
        while size < REQUEST_BYTES:
            size += reader.readinto(buffer)
        assert size == REQUEST_BYTES
        with pytest.raises(RequestTooLargeError):
            reader.readinto(buffer)
        assert local.recv(2) == b"x"
        sending.join()


def test_all_parts_of_a_response_share_the_time_from_the_first_part() -> None:
    local, peer = socket.socketpair()
    now = [100.0]
    with local, peer:
        writer = ResponseWriter(local, lambda: now[0])
        now[0] = 200.0
        assert writer.write(b"head") == 4
        now[0] += REQUEST_SECONDS - 1
        assert writer.write(b"body") == 4
        now[0] += 1
        with pytest.raises(TimeoutError):
            writer.write(b"end")
        assert peer.recv(100) == b"headbody"


def test_a_response_has_a_limited_time_even_if_the_client_reads_slowly() -> None:
    local, peer = socket.socketpair()
    now, received = [0.0], bytearray()

    def clock() -> float:
        """Sets the time, and returns the data that the server has sent."""
        with contextlib.suppress(BlockingIOError):
            received.extend(peer.recv(1 << 24))
        now[0] += REQUEST_SECONDS / 3
        return now[0]

    with local, peer:
        peer.setblocking(False)
        writer = ResponseWriter(local, clock)
        assert writer.write(b"head") == 4
        with pytest.raises(TimeoutError):
            writer.write(b"x" * (1 << 24))
        clock()
    assert b"head" < received < b"head" + b"x" * (1 << 24)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * (REQUEST_BYTES + 1),
        b"GET /path HTTP/1.0\r\n" + b"A: b\r\n" * REQUEST_BYTES,
        b"GET /path HTTP/1.0\r\nAuthorization: " + b"x" * (REQUEST_BYTES + 1),
        b"POST /path HTTP/1.0\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /path HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\x00 \r\n\r\n",
        b"\r\n",
        b"",
    ],
    ids=lambda value: repr(value[:24]),
)
def test_after_an_invalid_request_the_next_client_is_served(
    serve: Serve, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    response = b""
    with connect(server) as client, contextlib.suppress(OSError):  # the server can reset a connection with unread bytes
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        response = client.makefile("rb").read()
    assert b"200" not in response.partition(b"\r\n")[0]
    assert get(server) == b"/path"
    assert capfd.readouterr().err == "", "requests are not logged"


def test_a_server_without_a_tls_context_closes_connections(serve: Serve) -> None:
    response = b""
    with contextlib.suppress(OSError):  # the server can reset a connection with unread bytes
        response = get(serve(context=lambda: None))
    assert response == b""


def test_a_stopped_server_completes_responses_in_progress(serve: Serve) -> None:
    started, released = threading.Event(), threading.Event()

    class WaitingHandler(PathHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server calls this name
            started.set()
            released.wait(60)
            super().do_GET()

    server = serve(WaitingHandler)
    with connect(server) as client:
        client.sendall(b"GET /path HTTP/1.0\r\n\r\n")
        assert started.wait(60)
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        released.set()
        assert client.makefile("rb").read().endswith(b"/path")


def test_connections_with_a_complete_request_are_never_replaced(serve: Serve) -> None:
    started, released = threading.Semaphore(0), threading.Event()

    class WaitingHandler(PathHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server calls this name
            started.release()
            released.wait(60)
            super().do_GET()

    server = serve(WaitingHandler)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(MAX_CONNECTIONS)]
        for client in clients:
            client.sendall(b"GET /path HTTP/1.0\r\n\r\n")
            assert started.acquire(timeout=60)
        with connect(server) as one_more:
            assert one_more.recv(1) == b""
        released.set()
        assert [client.makefile("rb").read()[-5:] for client in clients] == [b"/path"] * MAX_CONNECTIONS
    until(lambda: len(server.connections) == 0)
    assert get(server) == b"/path"


def test_connections_with_a_part_of_a_request_are_replaced(serve: Serve) -> None:
    server = serve()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(MAX_CONNECTIONS)]
        for client in clients:
            client.sendall(b"GET /path HTTP/1.0\r\n")
        until(lambda: len(server.connections) == MAX_CONNECTIONS)
        assert get(server) == b"/path"
        with contextlib.suppress(ConnectionResetError):
            assert clients[0].recv(1) == b""
        clients[1].sendall(b"\r\n")
        assert clients[1].makefile("rb").read().endswith(b"/path")


def test_a_failed_accept_and_a_failed_thread_do_not_end_the_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "ACCEPT_RETRY_SECONDS", 0.001)
    faults = [OSError("too many open files"), BlockingIOError("the client has disconnected")]

    class FailingListener(socket.socket):
        def accept(self) -> Any:
            if faults:
                raise faults.pop(0)
            return super().accept()

    no_thread = [RuntimeError("can't start new thread")]
    start = threading.Thread.start

    def start_or_fail(thread: threading.Thread) -> None:
        if thread.name == "health-connection" and no_thread:
            raise no_thread.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    server = serve(listener=listen(FailingListener))
    with contextlib.suppress(OSError):
        assert get(server) == b"", "the server has closed the connection"
    assert get(server) == b"/path"
    assert (faults, no_thread) == ([], [])
