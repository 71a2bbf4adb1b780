"""For each test a simulated API server with one Node, and a client of the Node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node_core.kube.client import NodeApi
from simulation.apiserver import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.forget_requests()
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Path:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return tmp_path / "kubeconfig"


@pytest.fixture
def api(kubeconfig: Path) -> NodeApi:
    return NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="gfd/test")
