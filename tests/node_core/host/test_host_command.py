"""Commands of the host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node_core.errors import HostCommandError
from node_core.host.host_command import PATH, run_on_host
from tests.nvml.build import IN_CI

needs_root = pytest.mark.skipif(os.geteuid() != 0 and not IN_CI, reason="chroot needs root")


def test_the_command_gets_its_arguments_and_the_usual_path() -> None:
    assert run_on_host(("/bin/sh", "-c", 'echo "$PATH" "$0"', "a b"), root=None) == f"{PATH} a b\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("/bin/sh", "-c", "echo no such unit >&2; exit 5"), "status 5: no such unit"),
        (("/bin/sh", "-c", "kill -9 $$"), "status -9"),
        (("/missing",), "cannot start /missing"),
        (("/bin/sh", "-c", "printf '\\377'; exit 1"), "status 1: \ufffd"),
        (("/bin/echo", "a\0b"), "cannot start .*null"),
    ],
)
def test_a_command_that_fails_is_an_error_with_its_output(arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(HostCommandError, match=why):
        run_on_host(arguments, root=None)


def test_a_command_that_does_not_end_is_killed() -> None:
    with pytest.raises(HostCommandError, match=r"did not end within 0\.01 s"):
        run_on_host(("/bin/sh", "-c", "read -r line < /dev/zero"), root=None, seconds=0.01)


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostCommandError, match=r"true on the host, status 1: .*No such file or directory"):
        run_on_host(("true",), root=tmp_path / "missing")


@needs_root
@pytest.mark.parametrize("root", ["/", f"/proc/{os.getpid()}/root"], ids=["mounted", "of a process"])
def test_a_program_of_the_host_runs_in_the_root_of_the_host(root: str) -> None:
    assert run_on_host(("uname", "-s"), root=Path(root)) == "Linux\n"


@needs_root
def test_a_program_of_the_host_runs_in_the_root_of_process_1() -> None:
    """In a new PID namespace, whose process 1 this test may inspect."""
    program = "from node_core.host.host_command import run_on_host; print(run_on_host(('readlink', '/proc/1/root')))"
    command = ["unshare", "--fork", "--pid", "--mount-proc", "--", sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "/"


@needs_root
def test_a_program_outside_of_the_root_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(HostCommandError, match=r"status 1: .*No such file or directory"):
        run_on_host(("uname", "-s"), root=tmp_path)
