"""The kubelet's configuration: files, the endpoint configz, and endpoints that fail."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nfd_lite.topology.kubelet_config import MAX_BYTES, TIMEOUT, read_body, read_kubelet_config
from node_core.errors import KubeletError
from simulation.apiserver import ApiServer

CONFIG = {"kubeletconfig": {"topologyManagerPolicy": "restricted"}}
Serve = Callable[..., str]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("secret-token\n")
    return file


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HTTPServer] = []
    seen: list[str] = []

    def start(content: bytes, status: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers["Authorization"])
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in http.server
                """Prints nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/configz"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    assert set(seen) <= {"Bearer secret-token"}


def test_the_endpoint_is_read_with_the_token(serve: Serve, token: Path) -> None:
    assert read_kubelet_config(serve(json.dumps(CONFIG).encode()), token) == CONFIG


def test_a_response_that_arrives_in_small_parts_has_one_time_limit() -> None:
    times = iter(range(1000))
    drip: Any = SimpleNamespace(read1=lambda _: b" ")
    with pytest.raises(TimeoutError):
        read_body(drip, lambda: next(times))
    assert next(times) == TIMEOUT + 2


def test_no_more_than_the_limit_is_read() -> None:
    flood: Any = SimpleNamespace(read1=lambda size: b" " * min(size, 1000))
    assert len(read_body(flood)) == MAX_BYTES + 1


@pytest.mark.parametrize("text", ["topologyManagerPolicy: pod\n", '{"topologyManagerPolicy": "pod"}'])
def test_a_file_is_read_as_yaml_or_json(text: str, token: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert read_kubelet_config(f"file://{tmp_path}/config.yaml", token) == {"topologyManagerPolicy": "pod"}


def test_a_missing_or_damaged_file_is_an_error_with_its_path(token: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_text("a: [")
    for name in ("missing", "damaged"):
        with pytest.raises(KubeletError, match=f"cannot read the kubelet's configuration: {tmp_path}/{name}"):
            read_kubelet_config(f"file://{tmp_path}/{name}", token)


@pytest.mark.parametrize(
    ("content", "status", "why"),
    [
        pytest.param(b"Forbidden (user=a, verb=get)", 403, r"HTTP 403: Forbidden .*nodes/configz", id="forbidden"),
        pytest.param(b"no\nline\x00", 500, r"HTTP 500: no line", id="server error"),
        pytest.param(b"", 302, "HTTP 302", id="a redirect is not followed"),
        pytest.param(b"<html>", 200, "is not JSON", id="not JSON"),
        pytest.param(b"[" * 100_000, 200, "is not JSON", id="nested JSON"),
        pytest.param(b" " * (MAX_BYTES + 1), 200, "larger than", id="too large"),
        pytest.param(b"\xff\xfe", 200, "is not JSON", id="not text"),
    ],
)
def test_any_other_response_is_an_error(serve: Serve, token: Path, content: bytes, status: int, why: str) -> None:
    with pytest.raises(KubeletError, match=why) as refused:
        read_kubelet_config(serve(content, status), token)
    assert "secret-token" not in str(refused.value)
    assert "--kubelet-config-uri" in str(refused.value)


def test_the_certificate_is_verified_only_with_a_ca(token: Path, tmp_path: Path) -> None:
    """The simulated API server serves TLS, and refuses the token: the request has reached the server."""
    with ApiServer() as server:
        (tmp_path / "ca").write_text(server.certificate)
        for ca_file in (None, tmp_path / "ca"):
            with pytest.raises(KubeletError, match=r"is not JSON|HTTP 4"):
                read_kubelet_config(f"{server.url}/configz", token, ca_file)
        with pytest.raises(KubeletError, match="its certificate is not valid"):
            read_kubelet_config(f"{server.url}/configz", token, other_ca(tmp_path))


def other_ca(folder: Path) -> Path:
    """Writes the certificate of another authority. Returns the path."""
    with ApiServer() as other:
        (folder / "other").write_text(other.certificate)
    return folder / "other"


def test_a_ca_file_that_cannot_be_read_is_an_error(token: Path, tmp_path: Path) -> None:
    with pytest.raises(KubeletError, match="does not answer"):
        read_kubelet_config("https://127.0.0.1:1/configz", token, tmp_path / "missing")


def test_a_kubelet_that_does_not_answer_is_an_error(token: Path) -> None:
    with pytest.raises(KubeletError, match=r"127.0.0.1:1/configz: the kubelet does not answer"):
        read_kubelet_config("https://127.0.0.1:1/configz", token)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff", b"a\nb", "tök".encode()])
def test_a_file_without_a_token_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(KubeletError, match="token"):
        read_kubelet_config("https://127.0.0.1:1/configz", tmp_path / "token")
