"""A port that serves responses from memory."""

import http.client
import threading
from collections.abc import Callable, Iterator
from email.message import Message

import pytest

from node_core.runtime.bounded_http import BoundedServer
from node_core.runtime.http_port import HttpPort, Respond, Response, listen

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
