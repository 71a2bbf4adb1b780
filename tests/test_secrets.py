"""No log contains a token, a key or the content of a kubeconfig: not at debug level, not in an error, not in the cause of an error."""

import base64
import http.client
import io
import json
import logging
import queue
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.informer import Informer
from node_core.kube.resources import node
from node_core.runtime.http import HealthServer
from node_core.runtime.log import LogFormat, configure_log
from node_core.runtime.metrics import Metrics
from node_core.runtime.metrics_guard import cluster_guard
from node_core.runtime.readiness import Readiness
from simulation.apiserver import ApiServer

SECRET = "s3cr3t-of-the-cluster"  # noqa: S105 - must not appear in any log
PEM = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"

Change = Callable[[dict[str, Any]], Any]
"""Changes a kubeconfig. Returns the text or the object of the file."""


class Collector(logging.Handler):
    """Collects all log lines of all loggers as text."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__(logging.DEBUG)
        self.stream = io.StringIO()
        configure_log(form, "debug", self.stream)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream.write(self.format(record) + "\n")


@pytest.fixture(params=["json", "console"])
def logged(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    handler = Collector(request.param)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.stream.getvalue
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(tokens={SECRET: "agent"}) as running:
        running.add_node("n1")
        yield running


def user(**fields: Any) -> Change:
    def change(config: dict[str, Any]) -> Any:
        config["users"][0]["user"] = fields
        return config

    return change


def failing_program(config: dict[str, Any]) -> Any:
    args = ["-c", f"echo {SECRET[::-1]} | rev; exit 3"]
    return user(exec={"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": args})(config)


CONFIGS: dict[str, Change] = {
    "good": user(token=SECRET),
    "unknown token": user(token=f"{SECRET}-unknown"),
    "token of two lines": user(token=f"{SECRET}\nmore"),
    "token with a null byte": user(token=f"{SECRET}\0"),
    "token that is not valid in a header": user(token=f"{SECRET}é☃"),
    "token that is a list": user(token=[SECRET]),
    "token that is a map": user(token={SECRET: 1}),
    "user that is a token": lambda config: config | {"users": [{"name": "gpunode-admin", "user": SECRET}]},
    "password": user(username="me", password=SECRET),
    "invalid key": user(**{"client-certificate-data": SECRET, "client-key-data": base64.b64encode(PEM.encode()).decode()}),
    "key that is not base64": user(**{"client-certificate-data": "", "client-key-data": SECRET}),
    "token file that is missing": user(tokenFile="/nonexistent/token"),
    "invalid authority": lambda config: (
        config["clusters"][0]["cluster"].update({"certificate-authority-data": SECRET}) or config
    ),
    "a program that fails": failing_program,
    "torn file": lambda config: json.dumps(user(token=SECRET)(config))[:-9] + "\n  - [" + SECRET,
    "not YAML": lambda _: f"users:\n- user: {{token: {SECRET}\n  bad: [unclosed\n\t{SECRET}: {SECRET}",
    "a secret alone": lambda _: SECRET,
    "no text": lambda _: b"\xff\xfe" + SECRET.encode() + b"\x00",
}  # fmt: skip


@pytest.mark.parametrize("change", CONFIGS.values(), ids=CONFIGS.keys())
def test_no_content_of_a_kubeconfig_is_logged(
    change: Change, server: ApiServer, tmp_path: Path, logged: Callable[[], str]
) -> None:
    file = change(server.kubeconfig())
    path = tmp_path / "kubeconfig"
    path.write_bytes(
        file if isinstance(file, bytes) else (file if isinstance(file, str) else json.dumps(file)).encode()
    )
    log = structlog.get_logger()
    api = NodeApi("n1", kubeconfig=str(path), user_agent="gfd/test")
    for request in (api.get, lambda: api.apply_labels("gfd", {"a": "b"}, force=False)):
        try:
            request()
        except KubeError as error:
            log.error("failed", why=str(error), problem=error)
            log.exception("fault")
            logging.getLogger().debug("".join(traceback.format_exception(error)))
    seen: queue.Queue[object] = queue.Queue()
    informer = Informer(api, node("n1"), on_change=seen.put, on_error=seen.put)
    informer.start()
    log.error("watched", last=str(seen.get(timeout=60)))
    informer.stop()
    guard = cluster_guard(str(path))
    log.error("guarded", status=guard.status(f"Bearer {SECRET}"))
    assert SECRET not in logged()
    assert "guarded" in logged()


@pytest.mark.parametrize("header", [f"Bearer {SECRET}", f"Basic {SECRET}", SECRET, f"Bearer {SECRET} {SECRET}"])
def test_no_authorization_header_is_logged(
    header: str, server: ApiServer, tmp_path: Path, logged: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    health = HealthServer(
        "127.0.0.1:0", Readiness(), Metrics(), guard=cluster_guard(str(tmp_path / "kubeconfig")).status
    )
    health.start()
    try:
        for failure in (None, 403, 500):
            if failure:
                server.fail_next(1, failure)
            connection = http.client.HTTPConnection("127.0.0.1", health.port, timeout=60)
            connection.request("GET", "/metrics", headers={"Authorization": header})
            assert SECRET not in connection.getresponse().read().decode()
            connection.close()
    finally:
        health.stop()
    assert SECRET not in logged()
    assert SECRET not in capfd.readouterr().err
