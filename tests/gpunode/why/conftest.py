"""The recorded cluster `waiting`, with a pod or workload for each reason, behind a simulated API server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from simulation.apiserver import ApiServer
from tests.gpunode.recorded import load_cluster
from tests.gpunode.verbs import run_verb

Why = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """`why` only reads, so the tests of a module share the server."""
    with ApiServer() as running:
        load_cluster(running, "waiting")
        yield running


@pytest.fixture
def why(server: ApiServer, tmp_path: Path) -> Why:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    flags = ("--kubeconfig", str(tmp_path / "kubeconfig"), "-n", "team")
    return lambda *arguments, **more: run_verb("why", *flags, *arguments, **more)
