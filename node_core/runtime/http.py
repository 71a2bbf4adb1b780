"""/healthz, /readyz and /metrics. Answers come from memory, never from the node: a hung driver does not hang a probe."""

import re
import socket
import threading
from collections.abc import Callable

import structlog

from node_core.domain.text import plain
from node_core.runtime.bounded_http import BoundedHandler, BoundedServer, Context
from node_core.runtime.metrics import NOT_READY, Metrics
from node_core.runtime.metrics_guard import PATH
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)

Answer = tuple[int, bytes]
Guard = Callable[[str | None], int]
REFUSALS = {
    401: b"a bearer token is needed\n",
    403: b"this user may not get /metrics\n",
    503: b"the API server cannot be asked who this is\n",
}


def render_healthz(readiness: Readiness) -> Answer:
    stuck = readiness.stuck()
    return (503, f"stuck: {', '.join(stuck)}\n".encode()) if stuck else (200, b"ok\n")


def render_readyz(readiness: Readiness) -> Answer:
    """One line a check, as kube-apiserver's verbose health endpoints print them."""
    checks = readiness.problems()
    lines = [
        f"[+]{name} ok\n" if problem is None else f"[-]{name} {plain(problem)}\n" for name, problem in checks.items()
    ]
    ready = bool(checks) and not any(checks.values())
    return (200 if ready else 503, "".join([*lines, "ready\n" if ready else "not ready\n"]).encode())


def render_metrics(readiness: Readiness, metrics: Metrics) -> Answer:
    for name, problem in readiness.problems().items():
        metrics.set(NOT_READY, 0 if problem is None else 1, check=name)
    return 200, metrics.render()


def parse_address(text: str) -> tuple[str, int]:
    """`host:port`, `:port` for all addresses, `[::1]:port`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write host:port or :port, with a port up to 65535")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{text!r} is not an address: an IPv6 host goes in brackets, [::1]:8080")
    return host.strip("[]"), int(port)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; without a host on all addresses, of IPv6 too where there is IPv6. Raises OSError."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


class HealthServer:
    """Listens on host:port; port 0 takes a free one, an empty address serves nothing.

    context: what TLS is spoken with, None for plain HTTP. guard: the status of a request for /metrics by its Authorization header; None
    lets everybody read. Probes carry no token: /healthz and /readyz are open, and tell names of checks and their problems, no secrets.
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
        return int(self._server.server_address[1]) if self._server else 0

    def start(self) -> None:
        """Serves in the background. A port that is taken is said and not fatal: the node keeps its labels and devices."""
        if not self._address:
            return
        try:
            listener = listen(*parse_address(self._address))
        except OSError as error:
            log.error("health_port_unavailable", address=self._address, why=error.strerror or str(error))
            return
        self._server = BoundedServer(listener, self._handler(), self._context)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, path: str, authorization: str | None) -> Answer:
        """To a GET of a path."""
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
            def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
                status, body = answer(self.path.partition("?")[0], self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if status == 401:
                    self.send_header("WWW-Authenticate", "Bearer")
                self.end_headers()
                self.wfile.write(body)

        return Handler
