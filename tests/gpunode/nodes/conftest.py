"""Runs verbs against recorded clusters."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from simulation.apiserver import ApiServer
from tests.gpunode.recorded import load_cluster
from tests.gpunode.verbs import run_verb

Run = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Path:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return tmp_path / "kubeconfig"


@pytest.fixture
def run(kubeconfig: Path) -> Run:
    """run(*arguments, columns): a verb with the kubeconfig of the server."""

    def verb(*arguments: str, columns: int | None = None) -> Result:
        return run_verb(*arguments, columns=columns, environment={"KUBECONFIG": str(kubeconfig)})

    return verb


@pytest.fixture
def mixed(server: ApiServer) -> ApiServer:
    load_cluster(server, "mixed")
    return server
