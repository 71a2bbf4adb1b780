"""/healthz, /readyz and /metrics. Answers come from memory, never from the node: a hung driver does not hang a probe."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from node_core.runtime.metrics import NOT_READY, Metrics
from node_core.runtime.readiness import Readiness

log = structlog.get_logger(__name__)

Answer = tuple[int, bytes]


def render_healthz(readiness: Readiness) -> Answer:
    stuck = readiness.stuck()
    return (503, f"stuck: {', '.join(stuck)}\n".encode()) if stuck else (200, b"ok\n")


def render_readyz(readiness: Readiness) -> Answer:
    """One line a check, as kube-apiserver's verbose health endpoints print them."""
    checks = readiness.problems()
    lines = [f"[+]{name} ok\n" if problem is None else f"[-]{name} {problem}\n" for name, problem in checks.items()]
    ready = bool(checks) and not any(checks.values())
    return (200 if ready else 503, "".join([*lines, "ready\n" if ready else "not ready\n"]).encode())


def render_metrics(readiness: Readiness, metrics: Metrics) -> Answer:
    for name, problem in readiness.problems().items():
        metrics.set(NOT_READY, 0 if problem is None else 1, check=name)
    return 200, metrics.render()


class HealthServer:
    """Listens on host:port; port 0 takes a free one, an empty address serves nothing."""

    def __init__(self, address: str, readiness: Readiness, metrics: Metrics) -> None:
        self._address = address
        self._readiness = readiness
        self._metrics = metrics
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server else 0

    def start(self) -> None:
        """Serves in the background. A port that is taken is said and not fatal: the node keeps its labels and devices."""
        if not self._address:
            return
        host, _, port = self._address.rpartition(":")
        try:
            self._server = ThreadingHTTPServer((host, int(port)), self._handler())
        except OSError as error:
            log.error("health_port_unavailable", address=self._address, why=error.strerror)
            return
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        routes = {
            "/healthz": lambda: render_healthz(self._readiness),
            "/readyz": lambda: render_readyz(self._readiness),
            "/metrics": lambda: render_metrics(self._readiness, self._metrics),
        }

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, body = routes.get(
                    self.path.split("?")[0], lambda: (404, b"try /healthz, /readyz or /metrics\n")
                )()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Probes every few seconds are not worth a line."""

        return Handler
