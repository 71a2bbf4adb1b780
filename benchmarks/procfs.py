"""Memory, CPU time, wake-ups, threads and files of processes, from /proc."""

import os
from pathlib import Path


def read_field(path: Path, name: str) -> int:
    """Returns the number of a line `name: number`."""
    return int(next(line.split()[1] for line in path.read_text().splitlines() if line.startswith(f"{name}:")))


def read_pss(pid: int) -> float:
    """Returns the proportional set size in MiB."""
    return read_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


def read_rss(pid: int) -> float:
    """Returns the resident set size in MiB."""
    return read_field(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def read_cpu(pid: int) -> float:
    """Returns the CPU seconds of all running threads, in nanosecond resolution."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def read_ticks(pid: int) -> float:
    """Returns the CPU seconds of all threads, also of those that have ended, in ticks of the system."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def read_switches(pid: int) -> int:
    """Returns the voluntary context switches of all threads."""
    return sum(read_field(task / "status", "voluntary_ctxt_switches") for task in Path(f"/proc/{pid}/task").iterdir())


def count_threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def count_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def find_descendants(pid: int) -> list[int]:
    """Returns the process and its descendants."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
