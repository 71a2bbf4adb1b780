"""The client with servers that send invalid responses."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from h2.connection import H2Connection

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.headers import OK, RESPONSE
from node_core.grpc_h2.messages import encode
from node_core.grpc_h2.status import CallError
from tests.node_core.grpc_h2.raw import RawServer

Respond = Callable[[H2Connection, int], Sequence[bytes] | None]


def send_nothing(_: H2Connection, __: int) -> None:
    pass


def send_http_1(_: H2Connection, __: int) -> list[bytes]:
    return [b"HTTP/1.1 400 Bad Request\r\n\r\n"]


def send_404(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [(b":status", b"404"), (b"content-type", b"text/html")])
    connection.send_data(number, b"<html>", end_stream=True)


def send_an_invalid_status(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [(b":status", b"2x0")], end_stream=True)


def end_without_status(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, RESPONSE)
    connection.send_data(number, encode(b"a"), end_stream=True)


def end_without_a_message(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [*RESPONSE, *OK], end_stream=True)


def send_two_messages(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, RESPONSE)
    connection.send_data(number, encode(b"a") * 2)
    connection.send_headers(number, OK, end_stream=True)


def reset(connection: H2Connection, number: int) -> None:
    connection.reset_stream(number, 7)


def go_away(connection: H2Connection, _: int) -> None:
    connection.close_connection()


def compress(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, RESPONSE)
    connection.send_data(number, b"\x01\0\0\0\0")


def send_an_unknown_code(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [*RESPONSE, (b"grpc-status", b"99")], end_stream=True)


@pytest.mark.parametrize(
    ("respond", "code"),
    [
        (send_nothing, "UNAVAILABLE"),
        (send_http_1, "UNAVAILABLE"),
        (send_404, "UNIMPLEMENTED"),
        (send_an_invalid_status, "UNKNOWN"),
        (end_without_status, "INTERNAL"),
        (end_without_a_message, "INTERNAL"),
        (send_two_messages, "INTERNAL"),
        (reset, "UNAVAILABLE"),
        (go_away, "UNAVAILABLE"),
        (compress, "UNIMPLEMENTED"),
        (send_an_unknown_code, "UNKNOWN"),
    ],
)
def test_an_invalid_response_is_an_error(path: Path, respond: Respond, code: str) -> None:
    with RawServer(path, respond), Client(path) as client, pytest.raises(CallError) as caught:
        client.call("/t.T/Echo", b"", timeout=20)
    assert caught.value.code == code


def test_a_server_may_close_the_connection_after_its_response(path: Path) -> None:
    def respond(connection: H2Connection, number: int) -> None:
        connection.send_headers(number, RESPONSE)
        connection.send_data(number, encode(b"a"))
        connection.send_headers(number, OK, end_stream=True)
        connection.close_connection()

    with RawServer(path, respond), Client(path) as client:
        assert client.call("/t.T/Echo", b"", timeout=20) == b"a"
