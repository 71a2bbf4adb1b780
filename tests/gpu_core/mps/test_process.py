"""Daemon processes: identification and end."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gpu_core.mps.control import MpsFolder
from gpu_core.mps.process import DaemonProcess, ends_with_container, find_process


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[int]:
    """A child process with an MPS folder in its environment."""
    with subprocess.Popen(["/bin/sleep", "600"], env=MpsFolder(base=tmp_path).environment) as child:
        child.returncode = 0
        yield child.pid
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def test_a_daemon_is_recognised_by_the_folder_in_its_environment(sleeper: int, tmp_path: Path) -> None:
    found = find_process(sleeper, MpsFolder(base=tmp_path))
    assert found is not None
    found.close()
    assert find_process(sleeper, MpsFolder(base=tmp_path / "other")) is None
    assert find_process(os.getpid(), MpsFolder(base=tmp_path)) is None
    assert find_process(None, MpsFolder(base=tmp_path)) is None
    assert find_process(2**22 + 1, MpsFolder(base=tmp_path)) is None
    assert find_process(2**40, MpsFolder(base=tmp_path)) is None, "larger than each pid"


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_the_end_of_a_child_is_noticed_with_its_status(sleeper: int, has_pidfd: bool) -> None:
    process = DaemonProcess(sleeper)
    if not has_pidfd:
        process.close()
    assert not process.has_ended()
    assert not process.wait(0.001)
    os.kill(sleeper, signal.SIGKILL)
    while not process.wait(0.01):
        pass
    assert process.status == -signal.SIGKILL
    assert process.has_ended()
    process.close()


def test_a_process_that_does_not_end_is_terminated(sleeper: int) -> None:
    process = DaemonProcess(sleeper)
    assert process.end(1.0)
    assert process.status == -signal.SIGTERM
    process.close()


@pytest.mark.parametrize(
    ("command", "pid", "ends"),
    [
        ("/sbin/init\0splash\0", 700, False),
        ("/bin/sh\0-c\0sleep inf\0", 700, False),
        ("tini\0--\0gpu-device-plugin\0", 7, True),
        ("tini\0--\0gpu-dra-driver\0", 7, True),
        ("/bin/sh\0-c\0exec /usr/bin/gpunode run\0", 7, True),
        ("python3\0", 1, True),
    ],
)
def test_in_a_container_children_end_with_the_agent(tmp_path: Path, command: str, pid: int, ends: bool) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "cmdline").write_text(command)
    assert ends_with_container(tmp_path, pid) is ends


def test_an_unreadable_pid_1_is_not_an_agent(tmp_path: Path) -> None:
    assert not ends_with_container(tmp_path, 7)
