"""Reads when processes started, and the pods that they are in. Source: proc(5)."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gpu_core.pods.cgroups import ProcessFacts, parse_cgroup

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks in a second."""
_MAX_BYTES = 1 << 16
_START = 19
"""The place of `starttime` among the fields after the name of the program."""


def read_processes(pids: Iterable[int], proc: Path = PROC) -> dict[int, ProcessFacts]:
    """Reads processes of the host's PID namespace. Omits processes that have ended, and those that cannot be read."""
    found = {pid: _read_process(pid, proc) for pid in pids}
    return {pid: facts for pid, facts in found.items() if facts is not None}


def parse_start(stat: str) -> float:
    """Parses /proc/<pid>/stat. Returns the end of the clock tick in which the process started. Raises ValueError."""
    fields = stat.rpartition(")")[2].split()
    if len(fields) <= _START:
        raise ValueError("the field starttime is missing")
    start = int(fields[_START])
    if not 0 <= start < 1 << 64:
        raise ValueError("the field starttime is not a number of 64 bits")
    return (start + 1) / TICKS


def _read_process(pid: int, proc: Path) -> ProcessFacts | None:
    """Reads both files through one descriptor of the folder: it stays with the process, also if another process gets the same pid."""
    with suppress(OSError, ValueError):
        folder = os.open(proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            started = parse_start(_read(folder, "stat"))
            return ProcessFacts(started=started, pods=parse_cgroup(_read(folder, "cgroup")))
        finally:
            os.close(folder)
    return None


def _read(folder: int, name: str) -> str:
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(file, "rb") as stream:
        return stream.read(_MAX_BYTES).decode(errors="replace")
