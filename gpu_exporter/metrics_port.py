"""The port of the metrics of GPUs: /metrics and /health, from memory."""

from collections.abc import Iterator
from email.message import Message

from gpu_exporter.exporter import Exporter
from node_core.runtime.bounded_http import Context
from node_core.runtime.http import REFUSALS, Guard, render_healthz
from node_core.runtime.http_port import TEXT, HttpPort, Response
from node_core.runtime.readiness import Readiness

METRICS, HEALTH = "/metrics", "/health"
OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
MAX_CONNECTIONS = 256
"""Several hundred scrapers at once are served one after the other, by a thread each."""


class MetricsPort:
    """A BackgroundService. guard, context: see HealthServer. problem: why the address is not available; None if it is."""

    def __init__(
        self,
        address: str,
        exporter: Exporter,
        readiness: Readiness,
        *,
        context: Context | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._exporter, self._readiness, self._guard = exporter, readiness, guard
        self.problem: str | None = None
        self._http = HttpPort(address, self.respond, context=context, max_connections=MAX_CONNECTIONS)

    @property
    def port(self) -> int:
        return self._http.port

    def start(self) -> None:
        """Starts the server, unless it runs. Call again to retry."""
        self.problem = self._http.start()

    def stop(self) -> None:
        self._http.stop()

    def liveness_problem(self) -> str | None:
        """See StoppableThread. A connection has its own thread."""
        return None

    def respond(self, path: str, headers: Message) -> Response:
        """Returns the response to a GET request."""
        if path == HEALTH:
            status, body = render_healthz(self._readiness)
            return Response(status=status, body=body)
        if path != METRICS:
            return Response(status=404, body=b"try /metrics or /health\n")
        status = 200 if self._guard is None else self._guard(headers.get("Authorization"))
        return self._metrics(headers) if status == 200 else Response(status=status, body=REFUSALS[status])

    def _metrics(self, headers: Message) -> Response:
        is_openmetrics = prefers_openmetrics(headers.get("Accept", ""))
        is_gzipped = accepts_gzip(headers.get("Accept-Encoding", ""))
        return Response(
            body=self._exporter.body(is_openmetrics=is_openmetrics, is_gzipped=is_gzipped),
            content_type=OPENMETRICS_TYPE if is_openmetrics else TEXT,
            encoding="gzip" if is_gzipped else None,
            varies="Accept, Accept-Encoding",
        )


def prefers_openmetrics(accept: str) -> bool:
    """Whether a client accepts OpenMetrics at least as willingly as the older format (RFC 9110, Accept). PURE."""
    qualities = dict(_qualities(accept))
    older = max((qualities.get(each, 0.0) for each in ("text/plain", "text/*", "*/*")), default=0.0)
    return qualities.get(OPENMETRICS, 0.0) > 0 and qualities[OPENMETRICS] >= older


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client accepts gzip (RFC 9110, Accept-Encoding). PURE."""
    return dict(_qualities(accept_encoding)).get("gzip", 0.0) > 0


def _qualities(header: str) -> Iterator[tuple[str, float]]:
    """The names in a header with their qualities, in the order of quality. A name that occurs several times has the highest."""
    found = []
    for part in header.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        found.append((name, _quality(quality)))
    yield from sorted(found, key=lambda each: each[1])


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
