"""A port that serves responses from memory."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from email.message import Message

import pytest

from node_core.runtime.bounded_http import BoundedServer
from node_core.runtime.http_port import HttpPort, Respond, Response, listen, parse_address

Serve = Callable[[Respond], HttpPort]


@pytest.fixture
def serve() -> Iterator[Serve]:
    ports: list[HttpPort] = []

    def start(respond: Respond) -> HttpPort:
        port = HttpPort("127.0.0.1:0", respond)
        ports.append(port)
        assert port.start() is None
        return port

    yield start
    for each in ports:
        each.stop()


def get(port: HttpPort, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port.port, timeout=30)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_a_response_has_the_headers_of_its_content(serve: Serve) -> None:
    made = Response(body=b"zipped", content_type="text/x", encoding="gzip", varies="Accept-Encoding")
    status, headers, body = get(serve(lambda _path, _headers: made))
    assert (status, body) == (200, b"zipped")
    assert headers["Content-Type"] == "text/x"
    assert headers["Content-Length"] == "6"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Vary"] == "Accept-Encoding"


def test_a_plain_response_has_no_encoding(serve: Serve) -> None:
    _, headers, _ = get(serve(lambda _path, _headers: Response(body=b"")))
    assert not {"Content-Encoding", "Vary", "WWW-Authenticate"} & headers.keys()


def test_only_a_response_without_authentication_asks_for_a_token(serve: Serve) -> None:
    port = serve(lambda path, _headers: Response(status=int(path[1:]), body=b""))
    assert get(port, "/401")[1]["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in get(port, "/403")[1]


def test_the_path_is_without_the_query(serve: Serve) -> None:
    def respond(path: str, headers: Message) -> Response:
        return Response(body=f"{path} {headers['X']}".encode())

    assert get(serve(respond), "/metrics?a=/b", X="y")[2] == b"/metrics y"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        (":0", "", 0),
        ("[::1]:65535", "::1", 65535),
        ("localhost:9400", "localhost", 9400),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "8080", "h:", "h:65536", "h:123456", "h:-1", "h:8o", "h:8080 ", "::1:80", "[::1:80", "::1]:80"]
)
def test_another_text_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)


def accepts(listener: socket.socket, host: str) -> bool:
    try:
        with socket.create_connection((host, listener.getsockname()[1]), 30):
            return True
    except ConnectionRefusedError:
        return False


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this host has no IPv6")
def test_without_a_host_all_addresses_are_served() -> None:
    with listen("", 0) as every, listen("127.0.0.1", 0) as one, listen("::1", 0) as other:
        assert (accepts(every, "127.0.0.1"), accepts(every, "::1")) == (True, True)
        assert (accepts(one, "127.0.0.1"), accepts(one, "::1")) == (True, False)
        assert (accepts(other, "127.0.0.1"), accepts(other, "::1")) == (False, True)


def test_on_a_host_without_ipv6_all_ipv4_addresses_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen("", 0) as listener:
        assert listener.family is socket.AF_INET
        assert accepts(listener, "127.0.0.1")


def test_an_address_in_use_is_tried_again() -> None:
    taken = listen("127.0.0.1", 0)
    port = HttpPort(f"127.0.0.1:{taken.getsockname()[1]}", lambda _path, _headers: Response(body=b"ok"))
    try:
        assert (port.start() or "").startswith("Address already in use")
        assert port.port == 0
        taken.close()
        assert port.start() is None
        assert get(port)[2] == b"ok"
    finally:
        taken.close()
        port.stop()


def test_an_empty_address_serves_nothing() -> None:
    port = HttpPort("", lambda _path, _headers: Response(body=b""))
    assert port.start() is None
    assert port.port == 0
    port.stop()


def test_a_stopped_port_does_not_start_again() -> None:
    port = HttpPort("127.0.0.1:0", lambda _path, _headers: Response(body=b""))
    port.stop()
    assert port.start() is None
    assert port.port == 0


def test_two_threads_start_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[BoundedServer] = []

    def start(server: BoundedServer) -> None:
        started.append(server)
        second.start()
        second.join(0.01)  # without the lock, the second thread starts another server here

    monkeypatch.setattr(BoundedServer, "start", start)
    port = HttpPort("127.0.0.1:0", lambda _path, _headers: Response(body=b""))
    second = threading.Thread(target=port.start)
    port.start()
    second.join()
    assert len(started) == 1
    started[0].stop()
