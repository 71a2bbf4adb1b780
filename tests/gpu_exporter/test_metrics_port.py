"""The port of the metrics, as Prometheus and strangers use it."""

import gzip
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gpu_exporter.exporter import Exporter
from gpu_exporter.metrics_port import MAX_CONNECTIONS, MetricsPort, accepts_gzip, prefers_openmetrics
from gpu_exporter.selection import select_series
from gpu_exporter.view import Known
from node_core.runtime.certificate_files import CertificateFiles
from node_core.runtime.readiness import Readiness
from simulation.apiserver.certificate import make_certificate
from tests.gpu_exporter.readings import scenario
from tests.gpu_exporter.views import OPTIONS, WINDOW, expose, know, parse

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1"
)
"""What Prometheus 3 sends."""
KNOWN = know(scenario())


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


Serve = Callable[..., MetricsPort]


@pytest.fixture
def serve(readiness: Readiness) -> Iterator[Serve]:
    ports: list[MetricsPort] = []

    def start(collect: Callable[[], Known] = lambda: KNOWN, **options: Any) -> MetricsPort:
        exporter = Exporter(collect, select_series(), OPTIONS, window_ms=WINDOW)
        port = MetricsPort("127.0.0.1:0", exporter, readiness, **options)
        ports.append(port)
        port.start()
        assert port.problem is None
        return port

    yield start
    for each in ports:
        each.stop()


def get(port: MetricsPort, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port.port, timeout=60)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_metrics_are_in_the_older_format_by_default(serve: Serve) -> None:
    status, headers, body = get(serve())
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body.decode() == expose(KNOWN)
    assert headers["Vary"] == "Accept, Accept-Encoding"


def test_prometheus_gets_zipped_openmetrics(serve: Serve) -> None:
    status, headers, body = get(serve(), Accept=PROMETHEUS, Accept_Encoding="gzip")
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert headers["Content-Encoding"] == "gzip"
    assert parse(gzip.decompress(body).decode())


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0, text/plain;q=0.5", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.5", False),
        ("Application/OpenMetrics-Text;Q=1", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;q=0.1, application/openmetrics-text;q=0.9, */*;q=0.5", True),
        (PROMETHEUS, True),
        (",;,=;q=,", False),
    ],
)
def test_openmetrics_is_used_if_the_client_prefers_it(accept: str, expected: bool) -> None:
    assert prefers_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("gzip;q=nan", False),
    ],
)
def test_gzip_is_used_if_the_client_accepts_it(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


def test_health_is_that_of_the_agent_and_needs_no_token(serve: Serve, readiness: Readiness) -> None:
    port = serve(guard=lambda _: 401)
    assert get(port, "/health")[::2] == (200, b"ok\n")
    readiness.add_liveness_check(lambda: "the thread gpu-0 has ended")
    assert get(port, "/health")[::2] == (503, b"the thread gpu-0 has ended\n")


def test_another_path_is_not_found(serve: Serve) -> None:
    assert get(serve(), "/")[::2] == (404, b"try /metrics or /health\n")


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_client_without_permission_gets_no_metrics(serve: Serve, status: int) -> None:
    asked: list[str | None] = []

    def guard(authorization: str | None) -> int:
        asked.append(authorization)
        return status

    port = serve(guard=guard)
    found, headers, body = get(port, Authorization="Bearer x")
    assert found == status
    assert b"DCGM" not in body
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert asked == ["Bearer x"]


def test_the_port_has_tls_if_a_certificate_is_set(serve: Serve, tmp_path: Path) -> None:
    made = make_certificate(datetime.now(UTC) + timedelta(minutes=1))
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_text(made.certificate)
    key.write_text(made.key)
    port = serve(context=CertificateFiles(certificate, key).context)
    trusted = ssl.create_default_context(cadata=made.certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", port.port, timeout=60, context=trusted)
    connection.request("GET", "/metrics")
    assert connection.getresponse().read().decode() == expose(KNOWN)


def test_200_scrapers_at_once_get_the_same_metrics(serve: Serve) -> None:
    """The first one waits for the facts until all are connected, so that all wait for it."""
    connected = threading.Event()

    def collect() -> Known:
        assert connected.wait(60)
        return KNOWN

    port = serve(collect)
    connections = [http.client.HTTPConnection("127.0.0.1", port.port, timeout=60) for _ in range(200)]
    for each in connections:
        each.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    connected.set()
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda each: each.getresponse(), connections))
    bodies = {response.read() for response in responses}
    assert {response.status for response in responses} == {200}
    assert [gzip.decompress(body).decode() for body in bodies] == [expose(KNOWN)]
    assert len(connections) < MAX_CONNECTIONS


def test_an_address_in_use_is_a_problem_until_it_is_free(serve: Serve, readiness: Readiness) -> None:
    first = serve()
    second = MetricsPort(
        f"127.0.0.1:{first.port}", Exporter(lambda: KNOWN, select_series(), OPTIONS, window_ms=WINDOW), readiness
    )
    second.start()
    assert "in use" in (second.problem or "")
    first.stop()
    second.start()
    assert second.problem is None
    second.stop()
