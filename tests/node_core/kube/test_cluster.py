"""The service account of a pod: where the API server is, and a token that the kubelet rotates."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_core.errors import KubeError
from node_core.kube import cluster
from node_core.kube.client import NodeApi
from node_core.kube.cluster import TOKEN_SECONDS, read_service_account
from simulation.apiserver import ApiServer

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class Pod:
    """A service account's folder, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        (folder / "ca.crt").write_text("PEM")
        self.rotate("first")

    def rotate(self, token: str) -> None:
        (self.folder / "token").write_text(token)

    def read(self, **environment: str) -> cluster.Cluster:
        return read_service_account(ENVIRONMENT | environment, self.folder, lambda: self.now)


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00:10:96::1", "https://[fd00:10:96::1]:443")]
)
def test_the_server_address_is_read_from_the_environment(pod: Pod, host: str, url: str) -> None:
    found = pod.read(KUBERNETES_SERVICE_HOST=host)
    assert (found.server, found.ca_file, found.is_verified) == (url, str(pod.folder / "ca.crt"), True)


def test_a_rotated_token_is_read_once_a_minute(pod: Pod) -> None:
    found = pod.read()
    assert found.authorization() == "Bearer first"
    pod.rotate("second\n")
    pod.now = TOKEN_SECONDS - 1
    assert found.authorization() == "Bearer first"
    pod.now = TOKEN_SECONDS
    assert found.authorization() == "Bearer second"


def test_the_last_token_is_used_while_the_file_is_unreadable(pod: Pod) -> None:
    found = pod.read()
    for content in (None, ""):
        (pod.folder / "token").unlink() if content is None else pod.rotate(content)
        pod.now += TOKEN_SECONDS
        assert found.authorization() == "Bearer first"
    pod.rotate("second")
    pod.now += TOKEN_SECONDS
    assert found.authorization() == "Bearer second"


@pytest.mark.parametrize("missing", ["token", "ca.crt", "HOST", "PORT"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_outside_a_pod_the_error_explains_how_to_set_a_cluster(pod: Pod, missing: str, is_empty: bool) -> None:
    environment = {}
    if missing.isupper():
        environment = {f"KUBERNETES_SERVICE_{missing}": ""}
    elif is_empty:
        (pod.folder / missing).write_text("\n")
    else:
        (pod.folder / missing).unlink()
    with pytest.raises(KubeError, match=r"no usable cluster configuration: in-cluster: .*--kubeconfig or KUBECONFIG"):
        pod.read(**environment)


def test_a_proxy_of_the_environment_is_used_unless_no_proxy_contains_the_server(pod: Pod) -> None:
    assert pod.read(HTTPS_PROXY="http://proxy:3128").proxy == "http://proxy:3128"
    assert pod.read(HTTPS_PROXY="http://proxy:3128", NO_PROXY="10.96.0.0/12").proxy is None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        (tmp_path / "ca.crt").write_text(running.certificate)
        (tmp_path / "token").write_text(running.token)
        yield running


def in_pod(server: ApiServer) -> dict[str, str]:
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": server.url.rpartition(":")[2]}


def test_a_rejected_token_is_read_again_for_the_next_request(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SERVICE_ACCOUNT", tmp_path)
    for name, value in in_pod(server).items():
        monkeypatch.setenv(name, value)
    api = NodeApi("n1", kubeconfig=None, user_agent="t")
    api.get()
    server.reject_token(server.token)
    server.accept_token("rotated", "gfd")
    (tmp_path / "token").write_text("rotated")
    with pytest.raises(KubeError, match="401"):
        api.get()
    assert api.get().name == "n1"


def test_the_proxy_does_not_receive_the_token(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def refuse() -> None:
            connection, _ = proxy.accept()
            requests.append(connection.recv(1 << 16))
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        monkeypatch.setattr(cluster, "SERVICE_ACCOUNT", pod.folder)
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        for name in ("https_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(KubeError, match="does not respond"):
            NodeApi("n1", kubeconfig=None, user_agent="t").get()
        thread.join()
    assert requests[0].startswith(b"CONNECT 10.96.0.1:443 HTTP/1")
    assert b"first" not in requests[0]


AGENT = """
import sys, threading
from node_core.domain.backoff import Backoff
from node_core.runtime.log import configure_log
configure_log("json")
from node_core.kube import cluster
from pathlib import Path
cluster.SERVICE_ACCOUNT = Path(sys.argv[1])
from node_core.runtime.informers import NodeInformer
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.metrics_guard import cluster_guard
from node_core.runtime.services import Services
from gfd.__main__ import parse
node = NodeInformer("n1", kubeconfig=None, user_agent="t")
mailbox = Mailbox()
node.subscribe(mailbox)
node.start()
print(type(mailbox.get(60)).__name__)
print(cluster_guard(None).status("Bearer unknown-token"))
sys.stdout.flush()
program = parse(["--oneshot", "--node-name", "n1", "--simulate", "h100x8", "--lock-dir", ""])
is_published = program.once(Services())
node.stop()
foreign = ("kubernetes", "oauthlib", "requests")
print(is_published, sorted(name for name in sys.modules if name.partition(".")[0] in foreign))
"""


def test_a_process_in_a_pod_does_not_import_the_kubernetes_package(server: ApiServer, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"} | in_pod(server)
    run = [sys.executable, "-c", AGENT, str(tmp_path)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=50)
    lines = done.stdout.splitlines()
    assert (lines[:2], lines[-1:]) == (["NodeChanged", "401"], ["True []"]), done.stderr
    labels = server.store.get("nodes", "n1")["metadata"]["labels"]
    assert labels["nvidia.com/gpu.count"] == "8"


IMPORTS = """
import sys
before = set(sys.modules)
import node_core.kube.client, node_core.kube.informer, node_core.kube.node_feature, node_core.kube.access, node_core.kube.events
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"kubernetes", "yaml", "asyncio"}))
"""


def test_the_modules_of_this_package_import_few_modules() -> None:
    """structlog imports asyncio. The test prevents this import, because every module imports structlog for its logs."""
    stand_in = "import sys, types; m = types.ModuleType('structlog'); m.get_logger = lambda *_: None; sys.modules['structlog'] = m\n"
    done = subprocess.run([sys.executable, "-c", stand_in + IMPORTS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
