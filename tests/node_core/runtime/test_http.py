"""The health server for untrusted clients: TLS, tokens, and limits of connections."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.errors import KubeError, SettingsError
from node_core.kube.access import AccessApi
from node_core.kube.http import ApiClient
from node_core.runtime import bounded_http
from node_core.runtime.bounded_http import (
    MAX_CONNECTIONS,
)
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.http import HealthServer
from node_core.runtime.metrics import Metrics
from node_core.runtime.metrics_guard import (
    MetricsGuard,
    cluster_guard,
)
from node_core.runtime.process import health_server
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.certificate import make_certificate
from tests.node_core.runtime.settings_of import settings_of
from tests.waiting import until

Serve = Callable[..., HealthServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[HealthServer] = []

    def start(**options: Any) -> HealthServer:
        readiness = Readiness()
        readiness.report("gfd/published", None)
        server = HealthServer("127.0.0.1:0", readiness, Metrics(), **options)
        started.append(server)
        server.start()
        return server

    yield start
    for one in started:
        one.stop()


class Pair:
    """Writes a new certificate and its key to files."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.files = CertificateFiles(self.certificate, self.key)
        self.renewed = 0

    def renew(self) -> str:
        self.renewed += 1
        made = make_certificate(datetime.now(UTC) + timedelta(minutes=self.renewed))
        for path, text in ((self.key, made.key), (self.certificate, made.certificate)):
            fresh = path.with_suffix(".new")
            fresh.write_text(text)
            fresh.replace(path)
        return made.certificate


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def get(
    server: HealthServer, path: str, token: str | None = None, trusted: str | None = None
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = (
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        if trusted is None
        else http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=60, context=ssl.create_default_context(cadata=trusted)
        )
    )
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers
    finally:
        connection.close()


def test_responses_do_not_contain_the_name_of_the_http_library(serve: Serve) -> None:
    assert get(serve(), "/healthz")[2]["Server"].strip() == "gpunode"
    assert "Python" not in str(get(serve(), "/nonsense"))


def test_with_a_certificate_every_path_needs_tls(serve: Serve, pair: Pair) -> None:
    trusted = pair.renew()
    server = serve(context=pair.files.context)
    assert get(server, "/healthz", trusted=trusted)[:2] == (200, "ok\n")
    with pytest.raises((http.client.HTTPException, OSError)):
        get(server, "/healthz")
    assert get(server, "/readyz", trusted=trusted)[0] == 200, "a client without TLS does not block other clients"


def test_a_renewed_certificate_is_used_at_once_and_an_invalid_one_is_not(serve: Serve, pair: Pair) -> None:
    server = serve(context=pair.files.context)
    with capture_logs() as logs:
        with pytest.raises(OSError, match=r".*"):
            get(server, "/healthz", trusted=make_certificate(datetime.now(UTC)).certificate)
        assert get(server, "/healthz", trusted=pair.renew())[0] == 200
        trusted = pair.renew()
        assert get(server, "/healthz", trusted=trusted)[0] == 200
        for content in ("", "rubbish", make_certificate(datetime.now(UTC)).key):
            pair.key.write_text(content)
            for _ in range(2):
                assert get(server, "/healthz", trusted=trusted)[0] == 200
        pair.key.unlink()
        assert get(server, "/healthz", trusted=trusted)[0] == 200
    events = [entry["event"] for entry in logs]
    assert events == ["tls_certificate_unusable"] + ["tls_certificate_loaded"] * 2 + ["tls_certificate_unusable"] * 4
    assert "PRIVATE KEY" not in str(logs)


def test_a_key_with_a_passphrase_is_refused_without_a_prompt(pair: Pair) -> None:
    pair.renew()
    locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBSzBV\n-----END ENCRYPTED PRIVATE KEY-----\n"
    pair.key.write_text(locked)
    with capture_logs() as logs:
        assert pair.files.context() is None
    assert [entry["effect"] for entry in logs] == ["no connection is served"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[ApiServer, MetricsGuard]]:
    with ApiServer(tokens={"scraper-token": "scraper", "other-token": "other"}) as server:
        server.allow_paths("scraper")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        yield server, cluster_guard(str(tmp_path / "kubeconfig"))


def test_only_a_user_who_may_get_metrics_reads_them(serve: Serve, cluster: tuple[ApiServer, MetricsGuard]) -> None:
    server = serve(guard=cluster[1].status)
    statuses = {
        token: get(server, "/metrics", token)[0] for token in ("scraper-token", "other-token", "unknown-token", None)
    }
    assert statuses == {"scraper-token": 200, "other-token": 403, "unknown-token": 401, None: 401}
    assert get(server, "/metrics?x=1", "other-token")[0] == 403
    assert get(server, "/metrics")[2]["WWW-Authenticate"] == "Bearer"
    assert "gpunode_" in get(server, "/metrics", "scraper-token")[1]
    assert "gpunode_" not in get(server, "/metrics", "other-token")[1]
    assert [get(server, path)[0] for path in ("/healthz", "/readyz")] == [200, 200], "probes send no token"


def test_while_the_api_server_does_not_respond_scrapes_end_and_probes_are_served(serve: Serve) -> None:
    requested, released = threading.Event(), threading.Event()

    class Silent(ApiClient):
        def request(self, verb: str, path: str, **request: Any) -> Any:
            requested.set()
            released.wait()
            raise KubeError("no route to host")

    guard = MetricsGuard(AccessApi(Silent(kubeconfig=None, user_agent="t")))
    server = serve(guard=guard.status)
    first = threading.Thread(target=get, args=(server, "/metrics", "first"))
    try:
        first.start()
        assert requested.wait(60)
        statuses = {get(server, "/metrics", f"token-{number}")[0] for number in range(MAX_CONNECTIONS)}
        assert statuses == {503}
        assert get(server, "/healthz")[0] == 200
    finally:
        released.set()
        first.join()


def connect(server: HealthServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def open_idle(server: HealthServer, count: int) -> list[socket.socket]:
    """Opens this number of idle connections. Returns when the server has accepted all of them."""
    idle = [connect(server) for _ in range(count)]
    connections = server.http.connections
    until(lambda: len(connections) >= count)
    return idle


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_idle_connections_do_not_block_probes(serve: Serve, pair: Pair, tls: bool) -> None:
    trusted = pair.renew() if tls else None
    server = serve(context=pair.files.context if tls else None)
    connections = server.http.connections
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(contextlib.closing(each)) for each in open_idle(server, MAX_CONNECTIONS)]
        for probe in range(3):
            assert get(server, "/healthz", trusted=trusted)[:2] == (200, "ok\n")
            assert idle[probe].recv(1) == b"", "the server has closed the oldest idle connection"
            until(lambda: len(connections) == MAX_CONNECTIONS - 1)
            stack.enter_context(contextlib.closing(connect(server)))
            until(lambda: len(connections) == MAX_CONNECTIONS)
        for one in () if tls else idle[3:]:
            one.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert one.makefile("rb").read().endswith(b"ok\n")
    await_no_connections(server)


def await_no_connections(server: HealthServer) -> None:
    """Waits until the threads of closed connections have ended."""
    connections = server.http.connections
    until(lambda: not len(connections))


def test_a_client_that_does_not_close_tls_is_disconnected(
    serve: Serve, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "REQUEST_SECONDS", 1000.0)
    monkeypatch.setattr(bounded_http, "GOODBYE_SECONDS", 0.01)
    context = ssl.create_default_context(cadata=pair.renew())
    server = serve(context=pair.files.context)
    with connect(server) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        response = b""
        while not response.endswith(b"ok\n"):
            response += client.recv(1000)
        await_no_connections(server)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--tls-cert-file=a",), "set both or none"),
        (("--tls-private-key-file=a",), "set both or none"),
        (("--metrics-auth",), "tokens must not be sent over plain HTTP"),
        (("--metrics-auth", "--tls-cert-file="), "is empty"),
    ],
)
def test_settings_without_a_protecting_effect_are_refused(flags: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings_of(*flags)


def test_tls_and_metrics_authorization_are_off_by_default_and_set_by_flags() -> None:
    assert (settings_of().tls, settings_of().metrics_auth) == (None, False)
    on = settings_of("--tls-cert-file=c", "--tls-private-key-file=k", "--metrics-auth")
    assert on.tls is not None
    assert (on.tls.certificate, on.tls.key, on.metrics_auth) == (Path("c"), Path("k"), True)


def test_the_health_server_of_the_flags_uses_tls_and_authorization(tmp_path: Path, pair: Pair) -> None:
    trusted = pair.renew()
    with ApiServer(tokens={"scraper-token": "scraper"}) as cluster:
        cluster.allow_paths("scraper")
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        settings = settings_of(
            "--http-address=127.0.0.1:0", f"--tls-cert-file={pair.certificate}", f"--tls-private-key-file={pair.key}",
            "--metrics-auth", f"--kubeconfig={tmp_path}/kubeconfig",
        )  # fmt: skip
        server = health_server(settings, Services())
        server.start()
        try:
            statuses = [get(server, "/metrics", token, trusted)[0] for token in (None, "scraper-token")]
        finally:
            server.stop()
    assert statuses == [401, 200]
