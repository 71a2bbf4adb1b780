"""Servers on sockets in a folder with a short path, and raw HTTP/2 peers."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node_core.grpc_h2.methods import Methods
from node_core.grpc_h2.server import Server
from tests.node_core.grpc_h2.raw import RawClient, listen


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as folder:  # the path of a Unix socket has at most 107 bytes
        yield Path(folder, "s.sock")


@pytest.fixture
def serve(path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(methods: Methods, listener: socket.socket | None = None) -> Server:
        servers.append(Server(listener or listen(path), methods))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop(0, 10)
        assert not server._thread.is_alive()


@pytest.fixture
def connect(path: Path) -> Iterator[Callable[[], RawClient]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(RawClient(path))
