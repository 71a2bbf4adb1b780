"""Paths of sockets, and the files at them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_core.errors import KubeletError
from node_core.kubelet.sockets import MAX_PATH, is_served, read_stamp, require_free_path
from tests.node_core.kubelet.stale_socket import leave_stale_socket
from tests.waiting import until


@pytest.fixture
def served(directory: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / "served.sock"))
        server.listen()
        yield directory / "served.sock"


def test_only_a_socket_with_a_listening_process_is_served(directory: Path, served: Path) -> None:
    leave_stale_socket(directory / "stale.sock")
    (directory / "file").touch()
    assert {path.name: is_served(path) for path in directory.iterdir()} == {
        served.name: True,
        "stale.sock": False,
        "file": False,
    }
    assert not is_served(directory / "missing.sock")


def test_a_server_that_does_not_accept_counts_as_listening(directory: Path) -> None:
    path = directory / "a.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as waiting:
        server.bind(str(path))
        server.listen(0)
        waiting.connect(str(path))
        assert is_served(path, timeout=0.01)


def test_a_path_without_a_file_or_with_a_stale_socket_is_free(directory: Path) -> None:
    require_free_path(directory / "a.sock")
    leave_stale_socket(directory / "a.sock")
    require_free_path(directory / "a.sock")


def test_a_served_path_is_not_free(served: Path) -> None:
    with pytest.raises(KubeletError, match=f"another plugin serves {served}"):
        require_free_path(served)


@pytest.mark.parametrize("letter", ["x", "é"], ids=["one byte", "two bytes"])
def test_the_length_of_a_path_is_limited_in_bytes(directory: Path, letter: str) -> None:
    name = letter * ((MAX_PATH - len(f"{directory}/")) // len(letter.encode()))
    longest = directory / name.rjust(len(name) + MAX_PATH - len(f"{directory}/{name}".encode()), "x")
    require_free_path(longest)
    leave_stale_socket(longest)
    with pytest.raises(KubeletError, match="may have 107 bytes"):
        require_free_path(Path(f"{longest}x"))


def test_a_path_that_cannot_be_checked_is_an_error(directory: Path) -> None:
    (directory / "file").touch()
    with pytest.raises(KubeletError, match=r"cannot check .*: Not a directory"):
        require_free_path(directory / "file" / "a.sock")


def test_a_link_to_a_socket_is_not_replaced(directory: Path) -> None:
    leave_stale_socket(directory / "a.sock")
    (directory / "link.sock").symlink_to("a.sock")
    with pytest.raises(KubeletError, match="not a socket"):
        require_free_path(directory / "link.sock")


def test_a_regular_file_at_the_path_is_not_removed(directory: Path) -> None:
    (directory / "a.sock").write_text("other")
    with pytest.raises(KubeletError, match="not a socket"):
        require_free_path(directory / "a.sock")
    assert (directory / "a.sock").read_text() == "other"


def test_a_recreated_file_has_another_stamp(directory: Path) -> None:
    path = directory / "a.sock"
    assert read_stamp(path) is None
    leave_stale_socket(path)
    first = read_stamp(path)
    assert first is not None
    assert first == read_stamp(path)
    path.rename(directory / "old")  # so that the next file has another inode
    leave_stale_socket(path)
    assert read_stamp(path) != first


def test_a_change_of_the_mode_changes_the_stamp_and_not_the_file(directory: Path) -> None:
    path = directory / "a.sock"
    leave_stale_socket(path)
    first = read_stamp(path)
    assert first is not None

    def has_another_stamp() -> bool:
        path.chmod(0o600)
        return read_stamp(path) != first

    until(has_another_stamp)  # the clock of the file system is coarse
    assert first.is_same_file(read_stamp(path))


def test_a_removed_or_replaced_file_is_not_the_same_file(directory: Path) -> None:
    path = directory / "a.sock"
    leave_stale_socket(path)
    first = read_stamp(path)
    assert first is not None
    path.rename(directory / "renamed")
    assert first.is_same_file(read_stamp(directory / "renamed"))
    assert not first.is_same_file(read_stamp(path))
    leave_stale_socket(path)
    assert not first.is_same_file(read_stamp(path))
