"""The page's server, with a recorded cluster."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from gpunode.cluster.connection import connect
from gpunode.cluster.feed import ClusterFeed
from gpunode.ui.app import COOKIE, ChangeSignal, build_app
from gpunode.ui.documents import Documents
from gpunode.ui.health import HealthHistory
from gpunode.ui.serve import Server, listen
from simulation.apiserver import ApiServer
from tests.gpunode.recorded import load_cluster
from tests.waiting import until

SECRET = "s3cret"  # noqa: S105


@dataclass
class Page:
    """cluster: the simulated API server. feed: of the page's server."""

    url: str
    cluster: ApiServer
    feed: ClusterFeed

    def get(self, path: str, *, cookie: str | None = SECRET, **headers: str) -> urllib3.BaseHTTPResponse:
        """Sends a request without following redirects."""
        cookies = {"Cookie": f"{COOKIE}={cookie}"} if cookie is not None else {}
        return urllib3.request("GET", self.url + path, headers={**cookies, **headers}, redirect=False)

    def document(self, path: str) -> Any:
        response = self.get(path)
        assert response.status == 200, response.data
        return response.json()

    def until(self, is_true: Callable[[], Any]) -> None:
        until(is_true)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with ApiServer() as cluster:
        load_cluster(cluster, "mixed")
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        connection = connect(str(tmp_path / "kubeconfig"))
        signal = ChangeSignal()
        history = HealthHistory(clock=lambda: 1_800_000_000.0)
        feed = ClusterFeed(connection.api, listeners=(history.update, lambda _: signal.notify()))
        server = Server(build_app(Documents(connection, feed, history), feed, signal, SECRET), signal)
        listener = listen(0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="ui")
        thread.start()
        started = Page(f"http://127.0.0.1:{listener.getsockname()[1]}", cluster, feed)
        try:
            started.until(lambda: server.started and feed.snapshot().is_complete)
            yield started
        finally:
            server.should_exit = True
            server.end_streams()
            thread.join()
            listener.close()
