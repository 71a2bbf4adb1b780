"""The process behind a socket."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_toolkit.process import find_program, flag_value, parse_command_line, parse_unit, read_process


@pytest.fixture
def listener() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cri-") as folder, socket.socket(socket.AF_UNIX) as server:
        path = Path(folder) / "s"
        server.bind(str(path))
        server.listen()
        yield path


def test_the_process_that_listens_is_found(listener: Path) -> None:
    process = read_process(listener)
    assert process is not None
    assert process.identity.startswith(f"{os.getpid()}:")
    assert process.command[0] == sys.orig_argv[0]
    assert process.program.endswith(f"/{Path(sys.orig_argv[0]).name}")


def test_a_socket_without_a_listener_has_no_process(tmp_path: Path) -> None:
    assert read_process(tmp_path / "none") is None


def test_a_process_that_is_not_visible_is_none(listener: Path, tmp_path: Path) -> None:
    assert read_process(listener, proc=tmp_path) is None


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/containerd.service\n", "containerd.service"),
        ("0::/system.slice/k3s.service\n", "k3s.service"),
        ("12:pids:/system.slice/other.service\n1:name=systemd:/system.slice/crio.service\n", "crio.service"),
        ("0::/system.slice/snap.microk8s.daemon-containerd.service\n", "snap.microk8s.daemon-containerd.service"),
        ("0::/kubepods.slice/pod1\n", None),
        ("", None),
        ("garbage", None),
    ],
)
def test_the_unit_is_the_service_of_the_control_group(text: str, unit: str | None) -> None:
    assert parse_unit(text) == unit


@pytest.mark.parametrize(
    ("executable", "called", "program"),
    [
        ("/usr/bin/containerd", "/usr/bin/containerd", "/usr/bin/containerd"),
        ("/usr/bin/containerd (deleted)", "containerd", "/usr/bin/containerd"),
        ("/var/lib/rancher/k3s/data/abc/bin/k3s", "containerd", "/var/lib/rancher/k3s/data/abc/bin/containerd"),
    ],
)
def test_the_program_is_called_by_the_name_of_the_process(executable: str, called: str, program: str) -> None:
    assert find_program(executable, called) == program


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (("containerd", "-c", "/x"), "/x"),
        (("containerd", "--config=/x"), "/x"),
        (("containerd", "--config", "/x", "--config=/y"), "/x"),
        (("containerd", "--config"), None),
        (("containerd",), None),
    ],
)
def test_a_flag_is_read_in_both_forms(command: tuple[str, ...], value: str | None) -> None:
    assert flag_value(command, "--config", "-c") == value


def test_a_command_line_without_arguments_is_one_empty_word() -> None:
    assert parse_command_line(b"") == ("",)
    assert parse_command_line(b"a\0b\0") == ("a", "b")
