"""The server with clients that violate the protocol or do not read."""

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import pytest
from h2.events import ConnectionTerminated, PingAckReceived, ResponseReceived, StreamReset, WindowUpdated
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame
from structlog.testing import capture_logs

from node_core.grpc_h2 import server as server_module
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.connection import MAX_CALLS, MAX_OUTPUT_BYTES, Connection
from node_core.grpc_h2.headers import render_request
from node_core.grpc_h2.messages import encode
from node_core.grpc_h2.methods import Methods, ResponseStream, Streaming, Unary
from node_core.grpc_h2.server import Server
from node_core.grpc_h2.status import CallError
from tests.node_core.grpc_h2.raw import RawClient, listen

Connect = Callable[[], RawClient]
ECHO = "/t.T/Echo"
MIB = 1 << 20
METHODS: Methods = {ECHO: Unary(bytes), "/t.T/Big": Unary(lambda _: b"x" * MIB)}


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(METHODS)


@pytest.fixture
def client(server: Server, path: Path) -> Client:
    assert server.connections == 0
    return Client(path)


def can_call(client: Client) -> bool:
    return client.call(ECHO, b"a", timeout=20) == b"a"


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n\r\n" * 3, b"\0" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(90)],
    ids=["http/1", "zeros", "frames"],
)
def test_invalid_bytes_end_only_their_connection(client: Client, connect: Connect, sent: bytes) -> None:
    raw = connect()
    raw.socket.sendall(sent)
    assert raw.is_closed()
    assert can_call(client)


def test_a_frame_that_is_too_large_ends_its_connection_with_a_reason(client: Client, connect: Connect) -> None:
    raw = connect().send_preface()
    frame = DataFrame(1, data=b"x" * 20_000)
    raw.socket.sendall(frame.serialize())
    event = raw.read_until(ConnectionTerminated)
    assert isinstance(event, ConnectionTerminated)
    assert event.error_code == 6
    assert raw.is_closed()
    assert can_call(client)


@pytest.mark.usefixtures("server")
def test_a_ping_is_acknowledged(connect: Connect) -> None:
    raw = connect().send_preface()
    raw.h2.ping(b"12345678")
    raw.flush()
    event = raw.read_until(PingAckReceived)
    assert isinstance(event, PingAckReceived)
    assert event.ping_data == b"12345678"


def test_the_server_stops_reading_from_a_client_that_does_not_read(
    client: Client, server: Server, connect: Connect
) -> None:
    raw = connect().send_preface()
    raw.socket.setblocking(False)
    raw.h2.ping(b"12345678")
    pings = raw.h2.data_to_send() * 1000
    with suppress(BlockingIOError):
        while True:
            raw.socket.send(pings)
    assert can_call(client)
    assert all(len(each._output) < 3 * MAX_OUTPUT_BYTES for each in list(server._connections))


@pytest.mark.usefixtures("server")
def test_an_immediately_cancelled_call_does_not_affect_other_calls(connect: Connect) -> None:
    raw = connect().send_preface()
    number = raw.open(ECHO)
    raw.h2.send_data(number, encode(b"a"), end_stream=True)
    raw.h2.reset_stream(number, 8)
    again = raw.call(ECHO, encode(b"b"))
    assert raw.status(again) == (b"0", b"")


@pytest.mark.usefixtures("server")
def test_cancelling_twice_or_after_the_end_does_not_affect_other_calls(connect: Connect) -> None:
    raw = connect().send_preface()
    number = raw.call(ECHO, encode(b"a"))
    assert raw.status(number) == (b"0", b"")
    raw.socket.sendall(RstStreamFrame(number, error_code=8).serialize() * 2)
    assert raw.status(raw.call(ECHO, encode(b"b"))) == (b"0", b"")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", b"13"), (encode(b"abc")[:-1], b"13"), (encode(b"a") * 2, b"12"), (b"\x01\0\0\0\0", b"12")],
    ids=["no message", "half a message", "two messages", "compressed"],
)
def test_a_request_with_no_message_or_two_messages_is_rejected(connect: Connect, data: bytes, status: bytes) -> None:
    raw = connect().send_preface()
    assert raw.status(raw.call(ECHO, data))[0] == status
    assert raw.status(raw.call(ECHO, encode(b"b"))) == (b"0", b"")


@pytest.mark.usefixtures("server")
def test_a_rejected_call_has_ended_although_the_client_continues_to_send(connect: Connect) -> None:
    raw = connect().send_preface()
    number = raw.open("/t.T/None")
    raw.flush()
    assert raw.status(number) == (b"12", b"unknown method /t.T/None")
    reset = raw.read_until(StreamReset)
    assert isinstance(reset, StreamReset)
    assert (reset.stream_id, reset.error_code) == (number, 0)
    raw.socket.sendall(DataFrame(number, data=encode(b"late")).serialize())
    assert raw.status(raw.call(ECHO, encode(b"b"))) == (b"0", b"")


@pytest.mark.usefixtures("server")
def test_a_call_that_is_not_grpc_is_rejected(connect: Connect) -> None:
    raw = connect().send_preface()
    headers = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x")]
    number = raw.h2.get_next_available_stream_id()
    raw.h2.send_headers(number, headers, end_stream=True)
    raw.flush()
    assert raw.status(number)[0] == b"13"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"te", b"trailers")], b"13"),
        ([(name.upper(), value) for name, value in render_request(ECHO, None)], b"13"),
        ([each for each in render_request(ECHO, None) if each[0] != b":path"], b"12"),
        ([*render_request(ECHO, None), (b":path", b"/t.T/None")], b"12"),
    ],
    ids=["no pseudo-header", "upper case", "no path", "two paths"],
)
def test_malformed_headers_reject_only_their_call(
    connect: Connect, headers: list[tuple[bytes, bytes]], status: bytes
) -> None:
    raw = connect().send_preface()
    number = raw.open(ECHO, headers)
    raw.h2.end_stream(number)
    raw.flush()
    assert raw.status(number)[0] == status
    assert raw.status(raw.call(ECHO, encode(b"b"))) == (b"0", b"")


def test_a_client_that_disconnects_during_a_request_is_removed(client: Client, connect: Connect) -> None:
    raw = connect().send_preface()
    number = raw.open("/t.T/Big")
    raw.h2.send_data(number, encode(b""), end_stream=True)
    raw.flush()
    raw.socket.close()
    assert can_call(client)


def test_a_client_without_a_window_gets_the_response_after_opening_one(client: Client, connect: Connect) -> None:
    raw = connect()
    raw.h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = 0
    raw.h2.local_settings.acknowledge()
    number = raw.send_preface().call(ECHO, encode(b"abc"))
    assert can_call(client)
    raw.h2.increment_flow_control_window(8, number)
    raw.flush()
    assert raw.status(number) == (b"0", b"")


def test_a_client_with_a_large_window_gets_a_large_response_without_sending_more(
    server: Server, connect: Connect
) -> None:
    raw = connect().send_preface()
    raw.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 8 * MIB})
    raw.h2.increment_flow_control_window(8 * MIB)
    assert raw.status(raw.call("/t.T/Big", encode(b""))) == (b"0", b"")
    assert server.connections == 1


def test_a_call_ends_at_its_deadline_although_its_client_sends_nothing(
    serve: Callable[..., Server], connect: Connect
) -> None:
    serve({"/t.T/Wait": Streaming(lambda _, __: None)})
    raw = connect().send_preface()
    number = raw.open("/t.T/Wait", render_request("/t.T/Wait", 0.001))
    raw.h2.send_data(number, encode(b""), end_stream=True)
    raw.flush()
    assert raw.status(number)[0] == b"4"


def test_too_many_calls_end_their_connection(client: Client, connect: Connect) -> None:
    raw = connect().send_preface()
    encoder = raw.h2.encoder
    for index in range(MAX_CALLS + 1):
        block = encoder.encode(render_request(ECHO, None))
        raw.socket.sendall(HeadersFrame(2 * index + 1, data=block, flags=["END_HEADERS"]).serialize())
    assert raw.is_closed()
    assert can_call(client)


@pytest.mark.usefixtures("server")
def test_the_total_size_of_unfinished_requests_is_limited(connect: Connect) -> None:
    raw = connect().send_preface()
    data = encode(b"x" * (3 * MIB))[:-1]
    assert [send_slowly(raw, raw.open(ECHO), data) for _ in range(3)] == [None, None, b"8"]
    assert raw.status(raw.call(ECHO, encode(b"b"))) == (b"0", b"")


def send_slowly(raw: RawClient, number: int, data: bytes) -> bytes | None:
    """Sends the data as flow control permits. Returns the grpc-status if the server rejects the call before the end of the data."""
    while data:
        if room := min(raw.h2.local_flow_control_window(number), 16_384):
            try:
                raw.h2.send_data(number, data[:room])
            except StreamClosedError:
                return raw.status(number)[0]
            data = data[room:]
            raw.flush()
        else:
            event = raw.read_until(WindowUpdated, ResponseReceived)
            if isinstance(event, ResponseReceived):
                return dict(event.headers or [])[b"grpc-status"]
    return None


def test_a_new_client_replaces_the_oldest_idle_client(
    serve: Callable[..., Server], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 3)
    opened: SimpleQueue[ResponseStream] = SimpleQueue()
    server = serve({**METHODS, "/t.T/Follow": Streaming(lambda _, out: opened.put(out))})
    busy = connect().send_preface()
    follows = busy.call("/t.T/Follow", encode(b""))
    out = opened.get(timeout=60)
    idle = [connect().send_preface() for _ in range(2)]
    for raw in idle:
        assert raw.status(raw.call(ECHO, encode(b"a"))) == (b"0", b"")
    newest = connect().send_preface()
    assert newest.status(newest.call(ECHO, encode(b"a"))) == (b"0", b"")
    assert idle[0].is_closed()
    assert server.connections == 3
    out.close()
    assert busy.status(follows) == (b"0", b"")


class FullListener(socket.socket):
    """A listener whose first calls of `accept` fail, as in a process without free descriptors."""

    failures = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_a_server_without_free_descriptors_accepts_again_later(
    serve: Callable[..., Server], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "ACCEPT_AGAIN", 0.01)
    plain = listen(path)
    listener = FullListener(fileno=plain.detach())
    with capture_logs() as logs:
        serve(METHODS, listener)
        assert can_call(Client(path))
    assert [entry["event"] for entry in logs] == ["rpc_accept_failed"] * 2


def test_an_internal_error_ends_one_connection_and_is_logged(serve: Callable[..., Server], path: Path) -> None:
    def start(_: bytes, out: ResponseStream) -> None:
        def fail() -> None:
            raise RuntimeError("fault")

        out.on_end(fail)
        out.close()

    serve({**METHODS, "/t.T/Follow": Streaming(start)})
    client = Client(path)
    with capture_logs() as logs:
        with pytest.raises(CallError, match=r"closed the connection|the connection failed"):
            list(client.stream("/t.T/Follow", b"", timeout=60))
        assert can_call(client)
    assert [entry["event"] for entry in logs] == ["rpc_connection_failed"]


def test_a_deadline_expires_once_if_the_client_does_not_read(path: Path) -> None:
    """With a deadline in the past, the server's thread would never wait."""
    local, peer = socket.socketpair()
    with local, peer, listen(path), RawClient(path) as raw:
        local.setblocking(False)
        peer.setblocking(False)
        connection = Connection(local, {"/t.T/Wait": Streaming(lambda _, __: None)}, lambda _, __: None)
        raw.h2.initiate_connection()
        raw.h2.send_headers(1, render_request("/t.T/Wait", 60.0))
        raw.h2.ping(b"12345678")
        peer.sendall(raw.h2.data_to_send())
        while connection.wants_read:
            raw.h2.ping(b"12345678")
            peer.sendall(raw.h2.data_to_send())
            connection.read()
        (deadline,) = connection.deadlines()
        connection.expire(deadline)
        assert (connection.calls, list(connection.deadlines())) == (1, [])
