"""Doctor checks the sockets of the kubelet and of the plugin."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_core.domain.resources import GPU
from gpunode.doctor.kubelet import check_kubelet, check_plugin_sockets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # pytest's tmp_path is too long for the path of a socket
    Path("dp").mkdir()
    return Path("dp")


@pytest.fixture
def served(folder: Path) -> Iterator[Path]:
    path = folder / "kubelet.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def test_a_kubelet_that_listens_is_ok(served: Path) -> None:
    (check,) = check_kubelet(served, writes=True)
    assert check.status == "ok"


def test_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    (check,) = check_kubelet(tmp_path / "nodir" / "kubelet.sock", writes=True)
    assert (check.status, check.sentence) == ("problem", f"the kubelet's folder {tmp_path}/nodir does not exist")


def test_a_missing_socket_is_a_problem(folder: Path) -> None:
    (check,) = check_kubelet(folder / "kubelet.sock", writes=True)
    assert (check.status, check.sentence) == ("problem", "the kubelet's socket dp/kubelet.sock does not exist")


def test_a_socket_without_a_process_is_a_problem(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "kubelet.sock"))
    (check,) = check_kubelet(folder / "kubelet.sock", writes=True)
    assert (check.status, check.sentence) == ("problem", "no process listens on the kubelet's socket dp/kubelet.sock")


@pytest.mark.parametrize(
    ("closed", "sentence"),
    [
        ("dp/kubelet.sock", "this user may not connect to dp/kubelet.sock"),
        ("dp", "the plugin cannot create sockets in dp, because the folder is read-only"),
    ],
)
def test_missing_rights_are_a_problem(
    closed: str, sentence: str, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != closed)
    (check,) = check_kubelet(served, writes=True)
    assert (check.status, check.sentence) == ("problem", sentence)


def test_without_the_mounts_of_the_plugin_a_read_only_folder_is_not_a_problem(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != "dp")
    (check,) = check_kubelet(served, writes=False)
    assert check.status == "ok"


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)
    (check,) = check_kubelet(folder / "kubelet.sock", writes=True)
    assert (check.status, check.sentence) == ("problem", f"cannot read {folder}: File name too long")


def test_a_missing_or_dead_socket_of_the_plugin_is_a_problem(folder: Path) -> None:
    (check,) = check_plugin_sockets(folder, [GPU])
    assert (check.status, check.sentence) == (
        "problem",
        "gpu-device-plugin does not serve nvidia.com/gpu: dp/nvidia-gpu.sock does not exist",
    )
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "nvidia-gpu.sock"))
    (check,) = check_plugin_sockets(folder, [GPU])
    assert check.status == "problem"
    assert check.sentence.startswith("dp/nvidia-gpu.sock does not respond: ")
