"""Serves /healthz, /readyz and /metrics. Responses are built from memory only. Therefore a driver that hangs does not block a probe."""

import re
import socket
from collections.abc import Callable

import structlog

from node_core.domain.text import to_printable
from node_core.runtime.bounded_http import BoundedHandler, BoundedServer, Context
from node_core.runtime.log_sink import pop_lost_lines
from node_core.runtime.metrics import LOG_LINES_LOST, NOT_READY, Metrics
from node_core.runtime.metrics_guard import PATH
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)

Answer = tuple[int, bytes]
Guard = Callable[[str | None], int]
REFUSALS = {
    401: b"a bearer token is required\n",
    403: b"this user is not allowed to get /metrics\n",
    503: b"the API server cannot check the token\n",
}


def render_healthz(readiness: Readiness) -> Answer:
    """Renders one line for each thread or service that has ended or does not respond."""
    problems = readiness.liveness_problems()
    return (503, "".join(f"{to_printable(problem)}\n" for problem in problems).encode()) if problems else (200, b"ok\n")


def render_readyz(readiness: Readiness) -> Answer:
    """Renders one line for each check, in the format of the verbose health endpoints of kube-apiserver."""
    checks = readiness.problems()
    lines = [
        f"[+]{name} ok\n" if problem is None else f"[-]{name} {to_printable(problem)}\n"
        for name, problem in checks.items()
    ]
    ready = bool(checks) and not any(checks.values())
    return (200 if ready else 503, "".join([*lines, "ready\n" if ready else "not ready\n"]).encode())


def render_metrics(readiness: Readiness, metrics: Metrics) -> Answer:
    for name, problem in readiness.problems().items():
        metrics.set(NOT_READY, 0 if problem is None else 1, check=name)
    metrics.add(LOG_LINES_LOST, pop_lost_lines())
    return 200, metrics.render()


def parse_address(text: str) -> tuple[str, int]:
    """Parses `host:port`, `[::1]:port`, or `:port` for all addresses. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: use host:port or :port, with a port up to 65535")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{text!r} is not an address: put an IPv6 host in brackets, as in [::1]:8080")
    return host.strip("[]"), int(port)


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening socket. An empty host means all addresses, including IPv6 if the host supports IPv6. Raises OSError."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


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
        self._context = context
        self._guard = guard
        self._server: BoundedServer | None = None

    @property
    def port(self) -> int:
        return self._server.port if self._server else 0

    def start(self) -> None:
        """Starts the server in the background. A port that is in use is logged and not fatal: labels and devices do not need the port."""
        if not self._address:
            return
        try:
            listener = listen(*parse_address(self._address))
        except OSError as error:
            log.error("health_port_unavailable", address=self._address, why=error.strerror or str(error))
            return
        self._server = BoundedServer(listener, self._handler(), self._context)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def answer(self, path: str, authorization: str | None) -> Answer:
        """Returns the response to a GET request."""
        if path == "/healthz":
            return render_healthz(self._readiness)
        if path == "/readyz":
            return render_readyz(self._readiness)
        if path != PATH:
            return 404, b"try /healthz, /readyz or /metrics\n"
        status = 200 if self._guard is None else self._guard(authorization)
        return render_metrics(self._readiness, self._metrics) if status == 200 else (status, REFUSALS[status])

    def _handler(self) -> type[BoundedHandler]:
        answer = self.answer

        class Handler(BoundedHandler):
            def do_GET(self) -> None:  # noqa: N802 - http.server calls this name
                status, body = answer(self.path.partition("?")[0], self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if status == 401:
                    self.send_header("WWW-Authenticate", "Bearer")
                self.end_headers()
                self.wfile.write(body)

        return Handler
