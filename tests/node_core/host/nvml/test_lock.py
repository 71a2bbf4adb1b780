"""Who has NVML open, as other processes of the node see it."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.host.nvml.lock import NvmlLock, who_holds

HOLD = """
import sys
from pathlib import Path
from node_core.host.nvml.lock import NvmlLock
lock = NvmlLock(Path(sys.argv[1]), "other")
print(lock.hold(), flush=True)
sys.stdin.read()
"""


def test_several_may_hold_it_and_each_is_named_as_long_as_it_does(tmp_path: Path) -> None:
    first, second, third = NvmlLock(tmp_path, "gfd"), NvmlLock(tmp_path, "gfd"), NvmlLock(tmp_path, "plugin")
    assert [each.hold() for each in (first, second, third, first)] == [True] * 4
    first.let_go()
    assert who_holds(tmp_path) == ("gfd", "plugin")
    second.let_go()
    second.let_go()
    assert who_holds(tmp_path) == ("plugin",)
    third.let_go()
    assert who_holds(tmp_path) == ()


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert who_holds(tmp_path) == ("other",)
        process.kill()
        process.wait()
        assert who_holds(tmp_path) == ()


def test_who_is_kept_out_says_so_and_does_not_wait(tmp_path: Path) -> None:
    with (tmp_path / "nvml.gfd.lock").open("w") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        lock = NvmlLock(tmp_path, "gfd")
        assert not lock.hold()
    assert lock.hold()
    lock.let_go()


def test_a_folder_that_cannot_be_written_is_said_and_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with capture_logs() as logs:
        assert NvmlLock(tmp_path / "file", "gfd").hold()
    assert [entry["event"] for entry in logs] == ["nvml_lock_unavailable"]
    assert who_holds(tmp_path / "file") == ()


def test_where_there_are_no_locks_that_is_said_and_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with capture_logs() as logs:
        assert NvmlLock(tmp_path, "gfd").hold()
    assert [(entry["event"], entry["why"]) for entry in logs] == [("nvml_lock_unavailable", "No locks available")]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(OSError, match="No locks"):
        who_holds(tmp_path)
