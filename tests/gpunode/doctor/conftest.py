"""A recorded cluster behind a simulated API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunode.cluster.connection import Connection, connect
from gpunode.doctor import command
from simulation.apiserver import ApiServer
from tests.gpunode.recorded import NOON, load_cluster


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        yield running


@pytest.fixture
def fleet(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """The recorded cluster `fleet`, at NOON."""
    load_cluster(server, "fleet")
    monkeypatch.setattr(command, "wall", NOON.timestamp)
    return server


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> str:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return str(tmp_path / "kubeconfig")


@pytest.fixture
def connection(kubeconfig: str) -> Connection:
    return connect(kubeconfig)
