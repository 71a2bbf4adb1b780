"""The client with a server of gRPC's own library."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError

MIB = 1 << 20


class Peer:
    """A server. over: set when a streaming call has ended. more: the calls `wait` and `follow` end when it is set."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.more = threading.Event()

    def refuse(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no device 'é' of 100%\nnone")
        raise AssertionError

    def wait(self, _: bytes, __: grpc.ServicerContext) -> bytes:
        self.more.wait(60)
        return b""

    def follow(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(self.over.set)
        for number in range(int(request)):
            yield b"%d" % number
        self.more.wait(60)

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "t.T",
            {
                "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: bytes(request)),
                "Size": grpc.unary_unary_rpc_method_handler(lambda request, _: b"%d" % len(request)),
                "Big": grpc.unary_unary_rpc_method_handler(lambda request, _: b"x" * int(request)),
                "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
                "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
                "Follow": grpc.unary_stream_rpc_method_handler(self.follow),
            },
        )


@pytest.fixture
def peer(path: Path) -> Iterator[Peer]:
    peer = Peer()
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, handlers=[peer.handler()])
        server.add_insecure_port(f"unix:{path}")
        server.start()
        yield peer
        peer.more.set()
        server.stop(0).wait()


@pytest.fixture
def client(peer: Peer, path: Path) -> Iterator[Client]:
    assert not peer.over.is_set()
    with Client(path) as client:
        yield client


def refusal(client: Client, method: str, request: bytes = b"", timeout: float = 20) -> tuple[str, str]:
    with pytest.raises(CallError) as caught:
        client.call(method, request, timeout=timeout)
    return caught.value.code, caught.value.message


def test_a_call_returns_its_response(client: Client) -> None:
    assert [client.call("/t.T/Echo", each, timeout=20) for each in (b"", b"a")] == [b"", b"a"]
    assert client.call("/t.T/Echo", b"a") == b"a"


def test_an_error_has_its_code_and_its_message(client: Client) -> None:
    assert refusal(client, "/t.T/Refuse") == ("NOT_FOUND", "no device 'é' of 100%\nnone")
    assert refusal(client, "/t.T/None")[0] == "UNIMPLEMENTED"


def test_large_messages_are_transferred_in_both_directions(client: Client, path: Path) -> None:
    assert client.call("/t.T/Size", b"x" * (4 * MIB - 100), timeout=20) == b"%d" % (4 * MIB - 100)
    with Client(path, max_bytes=16 * MIB) as large:
        assert len(large.call("/t.T/Big", b"%d" % (16 * MIB), timeout=50)) == 16 * MIB


def test_a_response_that_is_too_large_is_an_error(client: Client) -> None:
    assert refusal(client, "/t.T/Big", b"%d" % (4 * MIB + 1))[0] == "RESOURCE_EXHAUSTED"


def test_a_request_that_is_too_large_for_the_server_fails_with_its_message(client: Client) -> None:
    code, message = refusal(client, "/t.T/Size", b"x" * (6 * MIB))
    assert (code, "larger than max" in message) == ("RESOURCE_EXHAUSTED", True)


def test_a_call_to_a_hanging_server_ends_after_the_timeout(client: Client) -> None:
    assert refusal(client, "/t.T/Wait", timeout=0.05)[0] == "DEADLINE_EXCEEDED"


def test_a_stream_is_received_in_order_until_its_end(client: Client, peer: Peer) -> None:
    peer.more.set()
    assert list(client.stream("/t.T/Follow", b"100")) == [b"%d" % number for number in range(100)]


def test_an_abandoned_stream_is_cancelled(client: Client, peer: Peer) -> None:
    stream = client.stream("/t.T/Follow", b"2")
    assert next(stream) == b"0"
    stream.close()  # type: ignore[attr-defined]
    assert peer.over.wait(60)


def test_another_thread_can_close_the_client(client: Client) -> None:
    stream = client.stream("/t.T/Follow", b"1")
    assert next(stream) == b"0"
    closer = threading.Timer(0.01, client.close)
    closer.start()
    with pytest.raises(CallError) as caught:
        next(stream)
    closer.join()
    assert caught.value.code == "CANCELLED"
    assert refusal(client, "/t.T/Echo")[0] == "CANCELLED"


def test_a_missing_server_is_an_error_with_the_path(path: Path) -> None:
    with Client(path) as client:
        assert refusal(client, "/t.T/Echo") == ("UNAVAILABLE", f"cannot connect to {path}: No such file or directory")
