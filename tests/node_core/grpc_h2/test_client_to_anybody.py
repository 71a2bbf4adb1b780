"""The client, at servers that break the rules."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from h2.connection import H2Connection

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.headers import ANSWER, OK
from node_core.grpc_h2.messages import encode
from node_core.grpc_h2.status import CallError
from tests.node_core.grpc_h2.raw import RawServer

Answer = Callable[[H2Connection, int], Sequence[bytes] | None]


def say_nothing(_: H2Connection, __: int) -> None:
    pass


def say_garbage(_: H2Connection, __: int) -> list[bytes]:
    return [b"HTTP/1.1 400 Bad Request\r\n\r\n"]


def say_404(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [(b":status", b"404"), (b"content-type", b"text/html")])
    connection.send_data(number, b"<html>", end_stream=True)


def say_no_number(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [(b":status", b"2x0")], end_stream=True)


def end_without_status(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, ANSWER)
    connection.send_data(number, encode(b"a"), end_stream=True)


def end_without_answer(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [*ANSWER, *OK], end_stream=True)


def answer_twice(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, ANSWER)
    connection.send_data(number, encode(b"a") * 2)
    connection.send_headers(number, OK, end_stream=True)


def reset(connection: H2Connection, number: int) -> None:
    connection.reset_stream(number, 7)


def go_away(connection: H2Connection, _: int) -> None:
    connection.close_connection()


def compress(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, ANSWER)
    connection.send_data(number, b"\x01\0\0\0\0")


def say_99(connection: H2Connection, number: int) -> None:
    connection.send_headers(number, [*ANSWER, (b"grpc-status", b"99")], end_stream=True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (say_nothing, "UNAVAILABLE"),
        (say_garbage, "UNAVAILABLE"),
        (say_404, "UNIMPLEMENTED"),
        (say_no_number, "UNKNOWN"),
        (end_without_status, "INTERNAL"),
        (end_without_answer, "INTERNAL"),
        (answer_twice, "INTERNAL"),
        (reset, "UNAVAILABLE"),
        (go_away, "UNAVAILABLE"),
        (compress, "UNIMPLEMENTED"),
        (say_99, "UNKNOWN"),
    ],
)
def test_an_invalid_response_is_an_error(path: Path, answer: Answer, code: str) -> None:
    with RawServer(path, answer), Client(path) as client, pytest.raises(CallError) as caught:
        client.call("/t.T/Echo", b"", timeout=20)
    assert caught.value.code == code


def test_a_server_may_close_the_connection_after_its_response(path: Path) -> None:
    def answer(connection: H2Connection, number: int) -> None:
        connection.send_headers(number, ANSWER)
        connection.send_data(number, encode(b"a"))
        connection.send_headers(number, OK, end_stream=True)
        connection.close_connection()

    with RawServer(path, answer), Client(path) as client:
        assert client.call("/t.T/Echo", b"", timeout=20) == b"a"
