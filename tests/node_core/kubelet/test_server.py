"""Sockets, servers on them, and registration at a kubelet."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.errors import KubeletError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import Manner, register
from node_core.kubelet.rpc import CallError
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_handler
from node_core.kubelet.sockets import is_served, read_stamp, require_free

OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:  # a unix socket's path is short
        yield Path(path)


@pytest.fixture
def serve(directory: Path) -> Iterator[Callable[..., UnixServer]]:
    servers: list[UnixServer] = []

    def start(answer: Callable[[pb.RegisterRequest], None] = lambda _: None) -> UnixServer:
        server = UnixServer(directory / "kubelet.sock", registration_handler(answer))
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def leave_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def test_registration_says_version_endpoint_resource_and_options(
    directory: Path, serve: Callable[..., UnixServer]
) -> None:
    seen: list[pb.RegisterRequest] = []
    serve(seen.append)
    register(directory / "kubelet.sock", "nvidia.com/gpu", "nvidia-gpu.sock", OPTIONS)
    assert seen == [
        pb.RegisterRequest(
            version="v1beta1", endpoint="nvidia-gpu.sock", resource_name="nvidia.com/gpu", options=OPTIONS
        )
    ]


def test_a_refusal_is_told_in_the_kubelets_words(directory: Path, serve: Callable[..., UnixServer]) -> None:
    def refuse(_: pb.RegisterRequest) -> None:
        raise CallError("UNKNOWN", "not supported by kubelet")

    serve(refuse)
    with pytest.raises(KubeletError, match=r"code = UNKNOWN desc = not supported by kubelet"):
        register(directory / "kubelet.sock", "nvidia.com/gpu", "nvidia-gpu.sock", OPTIONS)


def test_a_fault_in_an_answer_is_told_to_the_caller(directory: Path, serve: Callable[..., UnixServer]) -> None:
    def fail(_: pb.RegisterRequest) -> None:
        raise KeyError("x")

    serve(fail)
    with pytest.raises(KubeletError, match="INTERNAL desc = KeyError: 'x'"):
        register(directory / "kubelet.sock", "r", "e", OPTIONS)


def test_a_kubelet_that_hangs_costs_the_timeout_only(directory: Path, serve: Callable[..., UnixServer]) -> None:
    let_go = threading.Event()

    def hang(_: pb.RegisterRequest) -> None:
        let_go.wait(30)

    serve(hang)
    try:
        with pytest.raises(KubeletError, match="DEADLINE_EXCEEDED"):
            register(directory / "kubelet.sock", "r", "e", OPTIONS, Manner(timeout=0.05))
    finally:
        let_go.set()


def test_without_a_kubelet_the_error_says_so(directory: Path) -> None:
    with pytest.raises(KubeletError, match="there is no"):
        register(directory / "kubelet.sock", "r", "e", OPTIONS)
    leave_stale_socket(directory / "kubelet.sock")
    with pytest.raises(KubeletError, match="UNAVAILABLE"):
        register(directory / "kubelet.sock", "r", "e", OPTIONS)


def test_a_stale_socket_is_replaced_and_a_served_one_never(directory: Path, serve: Callable[..., UnixServer]) -> None:
    path = directory / "kubelet.sock"
    leave_stale_socket(path)
    first = serve()
    assert is_served(path)
    with pytest.raises(KubeletError, match="another plugin serves"):
        UnixServer(path, registration_handler(lambda _: None)).start()
    assert first.is_in_place
    register(path, "r", "e", OPTIONS)
    assert [each.name for each in directory.iterdir()] == ["kubelet.sock"]


def test_an_older_server_that_ends_leaves_the_newer_ones_socket(
    directory: Path, serve: Callable[..., UnixServer]
) -> None:
    old = serve()
    (directory / "kubelet.sock").unlink()
    assert not old.is_in_place
    new = serve()
    old.stop()
    assert new.is_in_place
    register(directory / "kubelet.sock", "r", "e", OPTIONS)


def test_a_server_that_ends_takes_its_socket_and_threads_along(directory: Path) -> None:
    before = set(threading.enumerate())
    server = UnixServer(directory / "kubelet.sock", registration_handler(lambda _: None))
    server.start()
    register(directory / "kubelet.sock", "r", "e", OPTIONS)
    server.stop()
    assert list(directory.iterdir()) == []
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, "threads are left over"
        time.sleep(0.005)


@pytest.mark.parametrize("name", ["no/such/folder.sock", "x" * 110 + ".sock"], ids=["no folder", "too long"])
def test_a_socket_that_cannot_be_made_is_an_error_with_its_path(directory: Path, name: str) -> None:
    server = UnixServer(directory / name, registration_handler(lambda _: None))
    with pytest.raises(KubeletError, match=str(directory)):
        server.start()
    assert list(directory.iterdir()) == []


def test_a_file_in_the_way_is_not_removed(directory: Path) -> None:
    (directory / "a.sock").write_text("mine")
    with pytest.raises(KubeletError, match="not a socket"):
        require_free(directory / "a.sock")
    assert (directory / "a.sock").read_text() == "mine"


def test_a_file_made_anew_has_another_stamp(directory: Path) -> None:
    path = directory / "a.sock"
    assert read_stamp(path) is None
    leave_stale_socket(path)
    first = read_stamp(path)
    assert first is not None
    assert first == read_stamp(path)
    path.rename(directory / "old")  # so that its inode is not free for the next one
    leave_stale_socket(path)
    assert read_stamp(path) != first
