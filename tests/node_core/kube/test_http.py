"""Requests to the API server: timeouts, errors, redirects, connections and trusted certificates."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from structlog.testing import capture_logs
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError

from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.cluster import Cluster
from node_core.kube.http import TIMEOUT, ApiClient, describe_status
from simulation.apiserver import ApiServer
from tests.node_core.kube.test_invalid_servers import write_kubeconfig


@pytest.mark.parametrize(
    ("name", "token", "status", "hint"),
    [("none", None, 404, "compare --node-name"), ("n1", "wrong", 401, "token or certificate was rejected")],
)
def test_errors_for_a_missing_node_and_a_wrong_token_have_hints(
    server: ApiServer, tmp_path: Path, name: str, token: str | None, status: int, hint: str
) -> None:
    server.write_kubeconfig(tmp_path / "other", token)
    with pytest.raises(KubeError, match=hint) as caught:
        NodeApi(name, kubeconfig=str(tmp_path / "other"), user_agent="t").get()
    assert caught.value.status == status


def test_a_renewed_token_is_read_from_the_kubeconfig(server: ApiServer, api: NodeApi, kubeconfig: Path) -> None:
    api.get()
    server.reject_token(server.token)
    with pytest.raises(KubeError, match="401"):
        api.get()
    server.accept_token("renewed", "gfd")
    server.write_kubeconfig(kubeconfig, "renewed")
    assert api.get().name == "n1"


def test_a_client_has_the_address_and_the_default_namespace_of_its_credentials(
    server: ApiServer, api: NodeApi, kubeconfig: Path
) -> None:
    assert api.server == server.url
    assert api.namespace is None
    content = server.kubeconfig()
    content["contexts"][0]["context"]["namespace"] = "team"
    kubeconfig.write_text(json.dumps(content))
    assert NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="t").namespace == "team"


def test_without_a_cluster_the_error_explains_how_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeError, match="--kubeconfig or KUBECONFIG"):
        NodeApi("n1", kubeconfig=None, user_agent="t").get()


def test_the_error_for_a_refused_connection_contains_no_class_names(server: ApiServer, api: NodeApi) -> None:
    server.stop()
    with pytest.raises(KubeError, match="does not respond") as caught:
        api.get()
    assert "object at 0x" not in str(caught.value)
    assert caught.value.status == 0


class Listener:
    """A server on loopback. response: sent on every connection; None sends nothing. connections: the received bytes of each connection."""

    def __init__(self, response: bytes | None) -> None:
        self.connections: list[bytes] = []
        self._response = response
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connections.append(b"")
            if self._response is not None:
                self.connections[-1] = connection.recv(1 << 16)
                connection.sendall(self._response)
                connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def silent() -> Iterator[Listener]:
    listener = Listener(None)
    yield listener
    listener.close()


@pytest.fixture
def redirecting() -> Iterator[Listener]:
    listener = Listener(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n"
    )
    yield listener
    listener.close()


@pytest.mark.parametrize("verb", ["GET", "PATCH"])
def test_a_hanging_server_causes_one_timeout_of_one_connection(silent: Listener, tmp_path: Path, verb: str) -> None:
    write_kubeconfig(tmp_path / "k", silent.url)
    api = ApiClient(kubeconfig=str(tmp_path / "k"), user_agent="t", timeout=(5.0, 0.1))
    with pytest.raises(KubeError, match="does not respond"):
        api.request(verb, "/api/v1/nodes/n1")
    assert len(silent.connections) == 1


def test_a_redirect_is_an_error_and_is_not_followed(redirecting: Listener, tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "k", redirecting.url)
    with pytest.raises(KubeError, match="HTTP 307: Temporary Redirect") as caught:
        ApiClient(kubeconfig=str(tmp_path / "k"), user_agent="t").request("GET", "/version")
    assert caught.value.status == 307
    assert b"authorization: bearer t\r\n" in redirecting.connections[0].lower()
    assert len(redirecting.connections) == 1


def test_the_kernel_probes_the_peer_of_a_silent_watch(api: NodeApi) -> None:
    stream = api.watch("/api/v1/nodes", {}, seconds=60)
    sock = stream._response.connection.sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_NODELAY)
    assert [sock.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [30, 15, 9, 1]
    assert sock.gettimeout() == 75.0, "the timeout of the socket is longer than the timeout of the watch"
    stream.close()


def test_requests_share_a_connection_also_after_errors(api: NodeApi) -> None:
    for _ in range(3):
        api.get()
        with pytest.raises(KubeError, match="HTTP 404"):
            api.request("GET", "/api/v1/nodes/none")
    (pool,) = api._connect()[1].pools._container.values()
    assert pool.num_connections == 1


def test_an_unverified_server_is_logged_once_per_pool(server: ApiServer, tmp_path: Path) -> None:
    config = server.kubeconfig()
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    (tmp_path / "k").write_text(json.dumps(config))
    api = NodeApi("n1", kubeconfig=str(tmp_path / "k"), user_agent="t")
    with capture_logs() as logs:
        assert api.get().name == "n1"
        assert api.get().name == "n1"
    assert [(entry["event"], entry["server"]) for entry in logs if "server" in entry] == [
        ("tls_not_verified", server.url)
    ]


def test_a_server_with_an_unknown_authority_receives_no_token(server: ApiServer, tmp_path: Path) -> None:
    config = server.kubeconfig()
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    (tmp_path / "k").write_text(json.dumps(config))
    with pytest.raises(KubeError, match="its certificate is not valid: self-signed certificate"):
        NodeApi("n1", kubeconfig=str(tmp_path / "k"), user_agent="t").get()
    assert server.requests == {}


def test_a_proxy_of_the_kubeconfig_is_used(redirecting: Listener, tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "k", "http://api.example")
    config: Any = json.loads((tmp_path / "k").read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = redirecting.url
    (tmp_path / "k").write_text(json.dumps(config))
    with pytest.raises(KubeError, match="HTTP 307"):
        ApiClient(kubeconfig=str(tmp_path / "k"), user_agent="t").request("GET", "/version")
    assert redirecting.connections[0].startswith(b"GET http://api.example/version HTTP/1.1")


def test_a_request_has_separate_timeouts_for_connecting_and_for_the_response(
    monkeypatch: pytest.MonkeyPatch, kubeconfig: Path
) -> None:
    def refuse(*_: Any, timeout: urllib3.Timeout, **__: Any) -> None:
        timeouts.append((timeout.connect_timeout, timeout.read_timeout))
        raise HTTPError

    timeouts: list[tuple[Any, Any]] = []
    monkeypatch.setattr(urllib3.PoolManager, "urlopen", refuse)
    with pytest.raises(KubeError):
        NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="t").get()
    assert timeouts == [TIMEOUT]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (HTTPError("incomplete response"), "incomplete response"),
        (MaxRetryError(HTTPConnectionPool("127.0.0.1"), "/", HTTPError("bad chunk")), "bad chunk"),
        (OSError(113, "No route to host"), "no route to host"),
    ],
    ids=["text", "reason", "system"],
)
def test_a_failed_request_is_described_by_its_cause(
    monkeypatch: pytest.MonkeyPatch, kubeconfig: Path, error: Exception, why: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(urllib3.PoolManager, "urlopen", fail)
    with pytest.raises(KubeError) as caught:
        ApiClient(kubeconfig=str(kubeconfig), user_agent="t").request("GET", "/api")
    assert caught.value.message == f"GET /api: the API server does not respond: {why}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1:1", "connection refused"),
        ("https://no-such-host.invalid", "the name of its host cannot be resolved"),
    ],
)
def test_a_failed_connection_is_described_in_words(monkeypatch: pytest.MonkeyPatch, url: str, why: str) -> None:
    monkeypatch.setattr("node_core.kube.http.read_cluster", lambda *_: Cluster(server=url, authorization=lambda: None))
    with pytest.raises(KubeError) as caught:
        ApiClient(kubeconfig=None, user_agent="t").request("GET", "/api")
    assert caught.value.message == f"GET /api: the API server does not respond: {why}"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"message": "no"}, "no"),
        ({"message": "no", "details": None}, "no"),
        ({"message": "no", "details": {"causes": [{"reason": "FieldValueInvalid", "message": "no"}]}}, "no"),
        (
            {
                "message": "Cannot evict pod.",
                "details": {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget a needs 1."}]},
            },
            "Cannot evict pod. The disruption budget a needs 1.",
        ),
    ],
    ids=["message", "null", "other-cause", "budget"],
)
def test_the_error_of_a_refused_eviction_names_the_disruption_budget(status: dict[str, Any], text: str) -> None:
    assert describe_status(status) == text
