"""Servers on Unix sockets."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.errors import KubeletError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import register
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_methods
from node_core.kubelet.sockets import is_served
from tests.node_core.kubelet.stale_socket import leave_stale_socket
from tests.waiting import until

OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


@pytest.fixture
def serve(directory: Path) -> Iterator[Callable[..., UnixServer]]:
    servers: list[UnixServer] = []

    def start(register: Callable[[pb.RegisterRequest], None] = lambda _: None) -> UnixServer:
        server = UnixServer(directory / "kubelet.sock", registration_methods(register))
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def test_an_exception_in_a_method_is_reported_to_the_caller(directory: Path, serve: Callable[..., UnixServer]) -> None:
    def fail(_: pb.RegisterRequest) -> None:
        raise KeyError("x")

    serve(fail)
    with pytest.raises(KubeletError, match="INTERNAL desc = KeyError: 'x'"):
        register(directory / "kubelet.sock", "r", "e", OPTIONS)


def test_a_stale_socket_is_replaced_and_a_served_socket_is_not(
    directory: Path, serve: Callable[..., UnixServer]
) -> None:
    path = directory / "kubelet.sock"
    leave_stale_socket(path)
    first = serve()
    assert is_served(path)
    with pytest.raises(KubeletError, match="another plugin serves"):
        UnixServer(path, registration_methods(lambda _: None)).start()
    assert first.is_in_place
    register(path, "r", "e", OPTIONS)
    assert [each.name for each in directory.iterdir()] == ["kubelet.sock"]


def test_an_old_server_that_stops_does_not_remove_the_socket_of_a_new_server(
    directory: Path, serve: Callable[..., UnixServer]
) -> None:
    old = serve()
    (directory / "kubelet.sock").unlink()
    assert not old.is_in_place
    new = serve()
    old.stop()
    assert new.is_in_place
    register(directory / "kubelet.sock", "r", "e", OPTIONS)


def test_a_stopped_server_leaves_no_socket_and_no_threads(directory: Path) -> None:
    before = set(threading.enumerate())
    server = UnixServer(directory / "kubelet.sock", registration_methods(lambda _: None))
    server.start()
    register(directory / "kubelet.sock", "r", "e", OPTIONS)
    server.stop()
    assert list(directory.iterdir()) == []
    until(lambda: not set(threading.enumerate()) - before, threading.enumerate)


@pytest.mark.parametrize("name", ["no/such/folder.sock", "x" * 110 + ".sock"], ids=["no folder", "too long"])
def test_a_socket_that_cannot_be_created_is_an_error_with_its_path(directory: Path, name: str) -> None:
    server = UnixServer(directory / name, registration_methods(lambda _: None))
    with pytest.raises(KubeletError, match=str(directory)):
        server.start()
    assert list(directory.iterdir()) == []
