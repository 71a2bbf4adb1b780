"""The health port as strangers find it: TLS and tokens where they are asked for, and nobody who holds it up."""

import contextlib
import http.client
import io
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
from node_core.runtime import bounded_http
from node_core.runtime.bounded_http import (
    MAX_CONNECTIONS,
    REQUEST_BYTES,
    AnswerWriter,
    RequestReader,
    RequestTooLargeError,
)
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.http import HealthServer
from node_core.runtime.metrics import Metrics
from node_core.runtime.metrics_guard import (
    ALLOWED_SECONDS,
    LONGEST_TOKEN,
    REFUSED_SECONDS,
    REMEMBERED,
    UNKNOWN_SECONDS,
    MetricsGuard,
    bearer_token,
    cluster_guard,
)
from node_core.runtime.process import health_server
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.certificate import make_certificate
from tests.node_core.runtime.settings_of import settings_of

TOKEN_REVIEW = ("create", "/apis/authentication.k8s.io/v1/tokenreviews")
ACCESS_REVIEW = ("create", "/apis/authorization.k8s.io/v1/subjectaccessreviews")

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
    """A certificate and its key as files, each time another one."""

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
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        if trusted is None
        else http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=10, context=ssl.create_default_context(cadata=trusted)
        )
    )
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_answers_say_nothing_of_what_serves_them(serve: Serve) -> None:
    assert get(serve(), "/healthz")[2]["Server"].strip() == "gpunode"
    assert "Python" not in str(get(serve(), "/nonsense"))


def test_with_a_certificate_all_is_over_tls(serve: Serve, pair: Pair) -> None:
    trusted = pair.renew()
    server = serve(context=pair.files.context)
    assert get(server, "/healthz", trusted=trusted)[:2] == (200, "ok\n")
    with pytest.raises((http.client.HTTPException, OSError)):
        get(server, "/healthz")
    assert get(server, "/readyz", trusted=trusted)[0] == 200, "one who speaks no TLS held up nobody"


def test_a_renewed_certificate_is_served_at_once_and_a_bad_one_never(serve: Serve, pair: Pair) -> None:
    server = serve(context=pair.files.context)
    with capture_logs() as logs:
        with pytest.raises(OSError, match=r".*"):
            get(server, "/healthz", trusted=make_certificate(datetime.now(UTC)).certificate)
        assert get(server, "/healthz", trusted=pair.renew())[0] == 200
        trusted = pair.renew()
        assert get(server, "/healthz", trusted=trusted)[0] == 200
        for rubbish in ("", "rubbish", make_certificate(datetime.now(UTC)).key):
            pair.key.write_text(rubbish)
            for _ in range(2):
                assert get(server, "/healthz", trusted=trusted)[0] == 200
        pair.key.unlink()
        assert get(server, "/healthz", trusted=trusted)[0] == 200
    told = [entry["event"] for entry in logs]
    assert told == ["tls_certificate_unusable"] + ["tls_certificate_taken_up"] * 2 + ["tls_certificate_unusable"] * 4
    assert "PRIVATE KEY" not in str(logs)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(pair: Pair) -> None:
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
    statuses = {token: get(server, "/metrics", token)[0] for token in ("scraper-token", "other-token", "nobody", None)}
    assert statuses == {"scraper-token": 200, "other-token": 403, "nobody": 401, None: 401}
    assert get(server, "/metrics?x=1", "other-token")[0] == 403
    assert get(server, "/metrics")[2]["WWW-Authenticate"] == "Bearer"
    assert "gpunode_" in get(server, "/metrics", "scraper-token")[1]
    assert "gpunode_" not in get(server, "/metrics", "other-token")[1]
    assert [get(server, path)[0] for path in ("/healthz", "/readyz")] == [200, 200], "probes carry no token"


def test_the_cluster_is_asked_once_in_a_while_of_each_token(cluster: tuple[ApiServer, MetricsGuard]) -> None:
    server, made = cluster
    now = [0.0]
    guard = MetricsGuard(made._access, clock=lambda: now[0])

    def asked() -> tuple[int, int]:
        return server.requests[TOKEN_REVIEW], server.requests[ACCESS_REVIEW]

    assert [guard.status("Bearer scraper-token") for _ in range(5)] == [200] * 5
    assert asked() == (1, 1)
    assert [guard.status("Bearer other-token") for _ in range(5)] == [403] * 5
    assert asked() == (2, 2)
    server.allow_paths("other")
    now[0] = REFUSED_SECONDS
    assert (guard.status("Bearer other-token"), asked()) == (200, (3, 3))
    server.reject_token("scraper-token")
    now[0] = ALLOWED_SECONDS - 1
    assert (guard.status("Bearer scraper-token"), asked()) == (200, (3, 3))
    now[0] = ALLOWED_SECONDS
    assert (guard.status("Bearer scraper-token"), asked()) == (401, (4, 3))


def test_without_an_answer_of_the_cluster_nobody_reads_and_it_is_said_once(
    cluster: tuple[ApiServer, MetricsGuard],
) -> None:
    server, made = cluster
    now = [0.0]
    guard = MetricsGuard(made._access, clock=lambda: now[0])
    with capture_logs() as logs:
        for status in (403, 500, 503, 503, 503):
            server.fail_next(1, status)
            assert guard.status("Bearer scraper-token") == 503
            now[0] += UNKNOWN_SECONDS
        assert guard.status("Bearer scraper-token") == 200
    told = [entry["event"] for entry in logs]
    assert told == ["metrics_access_unknown"] * 3 + ["metrics_access_known"]
    assert "scraper-token" not in str(logs)


def test_an_api_server_that_cannot_be_asked_is_left_alone_for_a_while_whoever_comes(
    cluster: tuple[ApiServer, MetricsGuard],
) -> None:
    server, made = cluster
    now = [0.0]
    guard = MetricsGuard(made._access, clock=lambda: now[0])
    assert guard.status("Bearer scraper-token") == 200
    server.fail_next(1, 500)
    assert [guard.status(f"Bearer {number}") for number in range(5)] == [503] * 5
    assert guard.status("Bearer scraper-token") == 200, "who is known goes on reading"
    asked = server.requests[TOKEN_REVIEW]
    now[0] = UNKNOWN_SECONDS
    assert [guard.status(f"Bearer {number}") for number in range(5)] == [401] * 5
    assert server.requests[TOKEN_REVIEW] == asked + 5


def test_while_the_api_server_does_not_answer_scrapes_keep_no_connection_and_probes_are_served(serve: Serve) -> None:
    asked, answered = threading.Event(), threading.Event()

    def access() -> Any:
        asked.set()
        answered.wait()
        raise KubeError("no route to host")

    server = serve(guard=MetricsGuard(access).status)
    first = threading.Thread(target=get, args=(server, "/metrics", "first"))
    try:
        first.start()
        assert asked.wait(10)
        statuses = {get(server, "/metrics", f"token-{number}")[0] for number in range(MAX_CONNECTIONS)}
        assert statuses == {503}
        assert get(server, "/healthz")[0] == 200
    finally:
        answered.set()
        first.join()


def test_many_tokens_do_not_fill_the_memory(cluster: tuple[ApiServer, MetricsGuard]) -> None:
    guard = cluster[1]
    assert {guard.status(f"Bearer {number}") for number in range(REMEMBERED + 5)} == {401}
    assert len(guard._answers) == REMEMBERED


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer \x00", None),
        ("Bearer é", None),
        ("Bearer " + "a" * (LONGEST_TOKEN + 1), None),
        ("", None),
        (None, None),
    ],
    ids=repr,
)
def test_a_token_is_what_follows_bearer(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


def connect(server: HealthServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def test_connections_beyond_the_limit_are_closed_and_those_that_end_make_room(serve: Serve) -> None:
    server = serve()
    held = [connect(server) for _ in range(MAX_CONNECTIONS)]
    try:
        with connect(server) as one_more:
            assert one_more.recv(1) == b""
        for one in held:
            one.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert all(one.makefile("rb").read().endswith(b"ok\n") for one in held)
    finally:
        for one in held:
            one.close()
    release_all(server)
    assert get(server, "/healthz")[0] == 200


def release_all(server: HealthServer) -> None:
    """Waits for the threads of connections that have ended."""
    assert server._server is not None
    for _ in range(MAX_CONNECTIONS):
        assert server._server._free.acquire(timeout=10)
    server._server._free.release(MAX_CONNECTIONS)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * (REQUEST_BYTES + 1),
        b"GET /healthz HTTP/1.0\r\n" + b"A: b\r\n" * REQUEST_BYTES,
        b"GET /healthz HTTP/1.0\r\nAuthorization: " + b"x" * (REQUEST_BYTES + 1),
        b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /metrics HTTP/1.0\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET \x00\xff HTTP/1.0\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:24]),
)
def test_whatever_is_sent_the_next_one_is_served(serve: Serve, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve()
    with connect(server) as one:
        try:
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
            answer = one.makefile("rb").read()
        except OSError:
            answer = b""
    assert b"200" not in answer.partition(b"\r\n")[0]
    assert get(server, "/healthz")[0] == 200
    assert capfd.readouterr().err == "", "a stranger's nonsense is no news"


def test_a_request_has_so_much_time_and_no_more_however_it_trickles() -> None:
    ours, theirs = socket.socketpair()
    now = [0.0]
    with ours, theirs:
        reader = io.BufferedReader(RequestReader(ours, clock=lambda: now[0]))
        for part in (b"GET ", b"/healthz"):
            theirs.sendall(part)
            now[0] += bounded_http.REQUEST_SECONDS / 3
            assert reader.read1() == part
        theirs.sendall(b" HTTP/1.0")
        now[0] += bounded_http.REQUEST_SECONDS / 3
        with pytest.raises(TimeoutError):
            reader.read1()


def test_an_answer_has_so_much_time_and_no_more_however_it_is_taken() -> None:
    ours, theirs = socket.socketpair()
    now, taken = [0.0], bytearray()

    def clock() -> float:
        """Meanwhile they take all that has come."""
        with contextlib.suppress(BlockingIOError):
            taken.extend(theirs.recv(1 << 24))
        now[0] += bounded_http.REQUEST_SECONDS / 3
        return now[0]

    with ours, theirs:
        theirs.setblocking(False)
        writer = AnswerWriter(ours, clock)
        assert writer.write(b"head") == 4
        with pytest.raises(TimeoutError):
            writer.write(b"x" * (1 << 24))
        clock()
    assert b"head" < taken < b"head" + b"x" * (1 << 24)


def test_one_who_does_not_end_tls_keeps_no_connection(
    serve: Serve, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "REQUEST_SECONDS", 1000.0)
    monkeypatch.setattr(bounded_http, "GOODBYE_SECONDS", 0.01)
    context = ssl.create_default_context(cadata=pair.renew())
    server = serve(context=pair.files.context)
    with connect(server) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += client.recv(1000)
        release_all(server)


def test_a_request_has_so_many_bytes_and_no_more() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sending = threading.Thread(target=theirs.sendall, args=(b"x" * (REQUEST_BYTES + 1),))
        sending.start()
        with pytest.raises(RequestTooLargeError):
            io.BufferedReader(RequestReader(ours)).read(REQUEST_BYTES + 1)
        ours.recv(1)
        sending.join()


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--tls-cert-file=a",), "one needs the other"),
        (("--tls-private-key-file=a",), "one needs the other"),
        (("--metrics-auth",), "tokens do not travel in the clear"),
        (("--metrics-auth", "--tls-cert-file="), "is empty"),
    ],
)
def test_settings_that_would_protect_nothing_are_refused(flags: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings_of(*flags)


def test_all_of_it_is_off_by_default_and_on_by_flags() -> None:
    assert (settings_of().tls, settings_of().metrics_auth) == (None, False)
    on = settings_of("--tls-cert-file=c", "--tls-private-key-file=k", "--metrics-auth")
    assert on.tls is not None
    assert (on.tls.certificate, on.tls.key, on.metrics_auth) == (Path("c"), Path("k"), True)


def test_flags_make_the_port_what_they_say(tmp_path: Path, pair: Pair) -> None:
    trusted = pair.renew()
    with ApiServer(tokens={"scraper-token": "scraper"}) as cluster:
        cluster.allow_paths("scraper")
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        asked = settings_of(
            "--http-address=127.0.0.1:0", f"--tls-cert-file={pair.certificate}", f"--tls-private-key-file={pair.key}",
            "--metrics-auth", f"--kubeconfig={tmp_path}/kubeconfig",
        )  # fmt: skip
        server = health_server(asked, Services())
        server.start()
        try:
            statuses = [get(server, "/metrics", token, trusted)[0] for token in (None, "scraper-token")]
        finally:
            server.stop()
    assert statuses == [401, 200]
