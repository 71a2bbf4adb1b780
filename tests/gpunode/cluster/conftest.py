"""A simulated API server, and a person's connection to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunode.cluster.connection import Connection, connect
from simulation.apiserver import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        yield running


@pytest.fixture
def connection(server: ApiServer, tmp_path: Path) -> Connection:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return connect(str(tmp_path / "kubeconfig"))
