"""Nodes without a kubelet, with a server that accepts every request with a valid certificate."""

import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from tests.e2e.cluster.api import Api
from tests.e2e.cluster.configs import render_kubeconfig
from tests.e2e.cluster.nodes import LEASES, add_node, render_status, render_time, renew_leases
from tests.e2e.cluster.pki import Authority

NOW = datetime(2026, 5, 4, 12, 30, 15, 250, tzinfo=UTC)


class Handler(BaseHTTPRequestHandler):
    """Returns the body of a request; two leases for a GET; 404 for names with `gone`."""

    sent: ClassVar[list[tuple[str, str, str, Any]]] = []

    def do_GET(self) -> None:
        self._answer({"items": [{"metadata": {"name": name}} for name in ("a", "b")]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sent.append((self.command, self.path, self.headers["Content-Type"], body))
        self._answer({**body, "metadata": {"uid": "u-1"}})

    do_PATCH = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self, body: Any) -> None:
        self.send_response(404 if "gone" in self.path else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    authority = Authority(datetime.now(UTC))
    pair = authority.server("server", ("127.0.0.1",))
    (tmp_path / "ca").write_text(authority.certificate)
    (tmp_path / "pair").write_text(pair.key + pair.certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca"))
    context.load_cert_chain(tmp_path / "pair")
    context.verify_mode = ssl.CERT_REQUIRED
    Handler.sent.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        kubeconfig = tmp_path / "kubeconfig"
        url = f"https://127.0.0.1:{server.server_port}"
        kubeconfig.write_text(
            render_kubeconfig(url, authority.certificate, "me", authority.client("me", "system:masters"))
        )
        yield Api(kubeconfig)
        server.shutdown()
        thread.join()


def test_a_node_gets_a_status_and_a_lease_that_it_owns(api: Api) -> None:
    add_node(api, "big", {"zone": "a"}, {"nvidia.com/gpu": "8"}, NOW)
    (_, node_path, _, node), (method, status_path, kind, status), (_, lease_path, _, lease) = Handler.sent
    assert (node_path, status_path, lease_path) == ("/api/v1/nodes", "/api/v1/nodes/big/status", LEASES)
    assert node["metadata"]["labels"]["zone"] == "a"
    assert (method, kind) == ("PATCH", "application/merge-patch+json")
    assert status["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert lease["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "big", "uid": "u-1"}]


def test_all_leases_are_renewed(api: Api) -> None:
    renew_leases(api, NOW)
    assert [(path, body) for _, path, _, body in Handler.sent] == [
        (f"{LEASES}/{name}", {"spec": {"renewTime": "2026-05-04T12:30:15.000250Z"}}) for name in ("a", "b")
    ]


def test_a_refused_request_is_an_oserror(api: Api) -> None:
    with pytest.raises(OSError, match="404"):
        api.get("/gone")


def test_a_status_is_ready_and_its_capacity_is_allocatable() -> None:
    status = render_status({"cpu": "2", "example.com/a": "1"}, NOW)
    assert status["capacity"] == status["allocatable"]
    assert (status["capacity"]["cpu"], status["capacity"]["example.com/a"], status["capacity"]["pods"]) == (
        "2",
        "1",
        "110",
    )
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [("Ready", "True")]


def test_times_are_utc_with_microseconds() -> None:
    assert render_time(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-05-04T12:30:15.000250Z"
