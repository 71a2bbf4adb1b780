"""The lock by which other processes detect that a program may have NVML open."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpu_core.nvml.lock import NvmlLock, list_holders
from tests.descriptors import open_files

HOLD = """
import sys
from pathlib import Path
from gpu_core.nvml.lock import NvmlLock
lock = NvmlLock(Path(sys.argv[1]), "other")
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_several_processes_can_acquire_the_lock_and_are_listed(tmp_path: Path) -> None:
    first, second, third = NvmlLock(tmp_path, "gfd"), NvmlLock(tmp_path, "gfd"), NvmlLock(tmp_path, "plugin")
    assert [each.acquire() for each in (first, second, third, first)] == [True] * 4
    first.release()
    assert list_holders(tmp_path) == ("gfd", "plugin")
    second.release()
    second.release()
    assert list_holders(tmp_path) == ("plugin",)
    third.release()
    assert list_holders(tmp_path) == ()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert list_holders(tmp_path) == ("other",)
        process.kill()
        process.wait()
        assert list_holders(tmp_path) == ()


def test_acquire_does_not_wait_for_an_exclusive_lock(tmp_path: Path) -> None:
    with (tmp_path / "nvml.gfd.lock").open("w") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        lock = NvmlLock(tmp_path, "gfd")
        assert not lock.acquire()
    assert lock.acquire()
    lock.release()


def test_an_unwritable_folder_is_logged_and_counts_as_acquired(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with capture_logs() as logs:
        assert NvmlLock(tmp_path / "file", "gfd").acquire()
    assert [entry["event"] for entry in logs] == ["nvml_lock_unavailable"]
    assert list_holders(tmp_path / "file") == ()


def test_a_file_system_without_locks_is_logged_and_counts_as_acquired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    before = open_files()
    with capture_logs() as logs:
        assert NvmlLock(tmp_path, "gfd").acquire()
    assert [(entry["event"], entry["why"]) for entry in logs] == [("nvml_lock_unavailable", "No locks available")]
    assert open_files() <= before
    with pytest.raises(OSError, match="No locks"):
        list_holders(tmp_path)
