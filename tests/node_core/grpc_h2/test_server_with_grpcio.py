"""The server with clients of gRPC's own library."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from node_core.grpc_h2.methods import Methods, ResponseStream, Streaming, Unary
from node_core.grpc_h2.server import Server
from node_core.grpc_h2.status import CallError

MIB = 1 << 20


def refuse(_: bytes) -> bytes:
    raise CallError("NOT_FOUND", "no device 'é' of 100%\nnone")


def fail(_: bytes) -> bytes:
    raise KeyError("x")


class Streams:
    """Streaming calls to which the test sends the responses. opened: each started call. over: one item for each ended call."""

    def __init__(self) -> None:
        self.opened: SimpleQueue[ResponseStream] = SimpleQueue()
        self.over: SimpleQueue[None] = SimpleQueue()

    def start(self, _: bytes, out: ResponseStream) -> None:
        out.on_end(lambda: self.over.put(None))
        self.opened.put(out)


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
def server(serve: Callable[..., Server], streams: Streams) -> Server:
    methods: Methods = {
        "/t.T/Echo": Unary(bytes),
        "/t.T/Size": Unary(lambda request: str(len(request)).encode()),
        "/t.T/Big": Unary(lambda request: b"x" * int(request)),
        "/t.T/Refuse": Unary(refuse),
        "/t.T/Fail": Unary(fail),
        "/t.T/Follow": Streaming(streams.start),
    }
    return serve(methods)


def open_channel(path: Path) -> grpc.Channel:
    options = [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(f"unix:{path}", options=options)


@pytest.fixture
def channel(server: Server, path: Path) -> Iterator[grpc.Channel]:
    assert server.connections == 0
    with open_channel(path) as opened:
        yield opened


def call(channel: grpc.Channel, method: str, request: bytes = b"", **settings: float | grpc.Compression) -> bytes:
    unary = channel.unary_unary(f"/t.T/{method}", request_serializer=bytes, response_deserializer=bytes)
    return bytes(unary(request, **{"timeout": 20, **settings}))  # type: ignore[arg-type]


def follow(channel: grpc.Channel, timeout: float = 20) -> Any:
    """Opens a stream: an iterator that can be cancelled. gRPC's types declare only the iterator."""
    stream = channel.unary_stream("/t.T/Follow", request_serializer=bytes, response_deserializer=bytes)
    return stream(b"", timeout=timeout)


def refusal(function: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        function()
    error: Any = caught.value  # the exception is also a grpc.Call, which its declared type does not include
    return error.code().name, error.details() or ""


def test_a_call_returns_its_response(channel: grpc.Channel) -> None:
    assert [call(channel, "Echo", each) for each in (b"", b"a", b"\0" * 1000)] == [b"", b"a", b"\0" * 1000]


def test_an_error_has_its_code_and_its_message(channel: grpc.Channel) -> None:
    assert refusal(lambda: call(channel, "Refuse")) == ("NOT_FOUND", "no device 'é' of 100%\nnone")
    assert refusal(lambda: call(channel, "Fail")) == ("INTERNAL", "KeyError: 'x'")
    assert refusal(lambda: call(channel, "None")) == ("UNIMPLEMENTED", "unknown method /t.T/None")


def test_large_messages_are_transferred_in_both_directions(channel: grpc.Channel) -> None:
    assert call(channel, "Size", b"x" * (4 * MIB - 100)) == str(4 * MIB - 100).encode()
    assert len(call(channel, "Big", str(3 * MIB).encode())) == 3 * MIB


def test_a_message_that_is_too_large_is_rejected_and_the_connection_remains_open(
    channel: grpc.Channel, server: Server
) -> None:
    assert refusal(lambda: call(channel, "Size", b"x" * (5 * MIB)))[0] == "RESOURCE_EXHAUSTED"
    assert call(channel, "Echo", b"a") == b"a"
    assert server.connections == 1


def test_a_compressed_request_is_rejected(channel: grpc.Channel) -> None:
    code, _ = refusal(lambda: call(channel, "Echo", b"x" * 1000, compression=grpc.Compression.Gzip))
    assert code == "UNIMPLEMENTED"


def test_a_stream_sends_messages_until_its_end(channel: grpc.Channel, streams: Streams) -> None:
    responses = follow(channel)
    out = streams.opened.get(timeout=60)
    for each in (b"1", b"", b"x" * MIB):
        out.send(each)
        assert next(responses) == each
    out.send(b"last")
    out.close()
    out.send(b"too late")
    assert list(responses) == [b"last"]
    streams.over.get(timeout=60)


def test_a_stream_may_end_with_an_error(channel: grpc.Channel, streams: Streams) -> None:
    responses = follow(channel)
    streams.opened.get(timeout=60).abort("RESOURCE_EXHAUSTED", "too many")
    assert refusal(lambda: next(responses)) == ("RESOURCE_EXHAUSTED", "too many")


def test_a_slow_reader_gets_the_newest_message_and_blocks_no_other_call(
    channel: grpc.Channel, streams: Streams
) -> None:
    responses = follow(channel)
    out = streams.opened.get(timeout=60)
    for number in range(40):
        out.send(bytes([number]) * MIB)
        assert call(channel, "Echo", b"a") == b"a"
    out.close()
    first_bytes = [response[0] for response in responses]
    assert first_bytes == sorted(set(first_bytes))
    assert (first_bytes[-1], len(first_bytes) < 40) == (39, True)


def test_on_end_is_called_when_the_client_cancels_the_stream(channel: grpc.Channel, streams: Streams) -> None:
    responses = follow(channel)
    out = streams.opened.get(timeout=60)
    responses.cancel()
    streams.over.get(timeout=60)
    out.send(b"not read")
    assert call(channel, "Echo", b"a") == b"a"


@pytest.mark.usefixtures("server")
def test_on_end_is_called_when_the_client_disconnects(path: Path, streams: Streams) -> None:
    channel = open_channel(path)
    responses = follow(channel)
    streams.opened.get(timeout=60).send(b"a")
    assert next(responses) == b"a"
    channel.close()
    streams.over.get(timeout=60)


def test_on_end_is_called_when_the_deadline_expires(channel: grpc.Channel, streams: Streams) -> None:
    responses = follow(channel, timeout=0.05)
    assert refusal(lambda: next(responses))[0] == "DEADLINE_EXCEEDED"
    streams.over.get(timeout=60)


@pytest.mark.usefixtures("server")
def test_many_clients_with_many_calls_get_their_responses(path: Path) -> None:
    responses: SimpleQueue[bytes] = SimpleQueue()

    def call_often(number: int) -> None:
        with open_channel(path) as channel:
            unary = channel.unary_unary("/t.T/Echo", request_serializer=bytes, response_deserializer=bytes)
            calls = [unary.future(b"%d" % number, timeout=30) for _ in range(50)]
            for each in calls:
                responses.put(each.result())

    threads = [threading.Thread(target=call_often, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(b"%d" % number for number in range(40) for _ in range(50))
    assert sorted(responses.get_nowait() for _ in range(2000)) == expected
    assert responses.empty()


def test_a_stopped_server_ends_open_calls(channel: grpc.Channel, server: Server, streams: Streams) -> None:
    responses = follow(channel)
    streams.opened.get(timeout=60)
    server.stop(0, 10)
    assert refusal(lambda: next(responses))[0] in {"UNAVAILABLE", "CANCELLED", "INTERNAL"}
    streams.over.get(timeout=60)


def test_a_stopped_server_sends_pending_messages_within_the_grace_period(
    channel: grpc.Channel, server: Server, streams: Streams
) -> None:
    responses = follow(channel)
    out = streams.opened.get(timeout=60)
    out.send(b"x" * MIB)
    out.close()
    server.stop(10, 10)
    assert [len(each) for each in responses] == [MIB]
