"""Serves /healthz, /readyz and /metrics. Responses are built from memory only. Therefore a driver that hangs does not block a probe."""

from collections.abc import Callable

import structlog

from node_core.domain.text import to_printable
from node_core.runtime.bounded_http import Context
from node_core.runtime.http_port import HttpPort, Response
from node_core.runtime.log_sink import pop_lost_lines
from node_core.runtime.metrics import LOG_LINES_LOST, NOT_READY, Metrics
from node_core.runtime.metrics_guard import PATH
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)

StatusAndBody = tuple[int, bytes]
Guard = Callable[[str | None], int]
REFUSALS = {
    401: b"a bearer token is required\n",
    403: b"this user is not allowed to get /metrics\n",
    503: b"the API server cannot check the token\n",
}


def render_healthz(readiness: Readiness) -> StatusAndBody:
    """Renders one line for each thread or service that has ended or does not respond."""
    problems = readiness.liveness_problems()
    return (503, "".join(f"{to_printable(problem)}\n" for problem in problems).encode()) if problems else (200, b"ok\n")


def render_readyz(readiness: Readiness) -> StatusAndBody:
    """Renders one line for each check, in the format of the verbose health endpoints of kube-apiserver."""
    checks = readiness.problems()
    lines = [
        f"[+]{name} ok\n" if problem is None else f"[-]{name} {to_printable(problem)}\n"
        for name, problem in checks.items()
    ]
    ready = bool(checks) and not any(checks.values())
    return (200 if ready else 503, "".join([*lines, "ready\n" if ready else "not ready\n"]).encode())


def render_metrics(readiness: Readiness, metrics: Metrics) -> StatusAndBody:
    for name, problem in readiness.problems().items():
        metrics.set(NOT_READY, 0 if problem is None else 1, check=name)
    metrics.add(LOG_LINES_LOST, pop_lost_lines())
    return 200, metrics.render()


class HealthServer:
    """Listens on host:port. Port 0 selects an unused port. An empty address serves nothing.

    context: returns the TLS context. None: plain HTTP. guard: returns the HTTP status for the Authorization header of a request for
    /metrics. None: all clients can read. /healthz and /readyz need no token, because probes send none. These paths return the names and
    problems of checks, but no secrets.
    """

    def __init__(
        self,
        address: str,
        readiness: Readiness,
        metrics: Metrics,
        *,
        context: Context | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._address = address
        self._readiness = readiness
        self._metrics = metrics
        self._guard = guard
        self.http = HttpPort(
            address, lambda path, headers: self._respond(path, headers.get("Authorization")), context=context
        )

    @property
    def port(self) -> int:
        return self.http.port

    def start(self) -> None:
        """Starts the server in the background. A port that is in use is logged and not fatal: labels and devices do not need the port."""
        why = self.http.start()
        if why is not None:
            log.error("health_port_unavailable", address=self._address, why=why)

    def stop(self) -> None:
        self.http.stop()

    def _read(self, path: str, authorization: str | None) -> StatusAndBody:
        """Returns the response to a GET request."""
        if path == "/healthz":
            return render_healthz(self._readiness)
        if path == "/readyz":
            return render_readyz(self._readiness)
        if path != PATH:
            return 404, b"try /healthz, /readyz or /metrics\n"
        status = 200 if self._guard is None else self._guard(authorization)
        return render_metrics(self._readiness, self._metrics) if status == 200 else (status, REFUSALS[status])

    def _respond(self, path: str, authorization: str | None) -> Response:
        status, body = self._read(path, authorization)
        return Response(status=status, body=body)
