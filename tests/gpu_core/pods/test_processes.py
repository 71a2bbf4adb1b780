"""Processes are read from a /proc, and those that have ended are omitted."""

import os
import time
from pathlib import Path

import pytest

from gpu_core.pods import processes
from gpu_core.pods.cgroups import PodCgroup, ProcessFacts
from gpu_core.pods.processes import TICKS, parse_start, read_processes
from tests.descriptors import open_files

UID = "6f0d5dd2-7d4b-4b1e-8a7c-1f7d0e3a9c11"
STAT = "{pid} ({name}) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 {start} 20 21"


def write_process(proc: Path, pid: int, *, start: int = 500, name: str = "python", cgroup: str = "0::/") -> Path:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(STAT.format(pid=pid, name=name, start=start))
    (folder / "cgroup").write_text(cgroup)
    return folder


def test_a_process_has_its_start_and_its_pod(tmp_path: Path) -> None:
    write_process(tmp_path, 7, start=5 * TICKS, cgroup=f"0::/kubepods/pod{UID}/{'a' * 64}")
    assert read_processes([7], tmp_path) == {7: ProcessFacts(started=5 + 1 / TICKS, pods=(PodCgroup(UID, "a" * 64),))}


def test_the_own_process_is_read_from_the_kernel() -> None:
    found = read_processes([os.getpid()])[os.getpid()]
    assert 0 < found.started <= time.clock_gettime(time.CLOCK_BOOTTIME) + 1 / TICKS


def test_ended_and_unreadable_processes_are_omitted(tmp_path: Path) -> None:
    write_process(tmp_path, 7)
    (write_process(tmp_path, 8) / "cgroup").unlink()
    (write_process(tmp_path, 9) / "stat").write_text("9 (x) S")
    (write_process(tmp_path, 10) / "stat").write_bytes(b"\xff" * 100)
    (tmp_path / "11").write_text("not a folder")
    before = open_files()
    assert read_processes([*range(5000), 1 << 22], tmp_path).keys() == {7}
    assert open_files() <= before


def test_a_process_that_ends_while_it_is_read_is_not_mixed_with_its_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two files, the process ends and another one gets its pid."""
    old = write_process(tmp_path, 7, start=100)
    monkeypatch.setattr(processes, "parse_start", lambda stat: _replace(old, tmp_path, parse_start(stat)))
    assert read_processes([7], tmp_path) == {7: ProcessFacts(started=101 / TICKS)}


def _replace(old: Path, proc: Path, started: float) -> float:
    old.rename(proc / "ended")
    write_process(proc, 7, start=900, cgroup=f"0::/kubepods/pod{UID}")
    return started


@pytest.mark.parametrize("name", ["a b", ") S 1", "(x)", "", "\n"])
def test_the_name_of_a_program_does_not_move_the_start(name: str) -> None:
    assert parse_start(STAT.format(pid=1, name=name, start=TICKS)) == 1 + 1 / TICKS


@pytest.mark.parametrize(
    "stat",
    ["", "1 (x)", "1 (x) S 1 2", *(STAT.format(pid=1, name="x", start=start) for start in ("x", -1, 1 << 64, "nan"))],
)
def test_an_incomplete_line_is_an_error(stat: str) -> None:
    with pytest.raises(ValueError, match=r"starttime|invalid literal"):
        parse_start(stat)
