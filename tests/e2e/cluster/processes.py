"""Starts programs that outlive this one, knows them again by process id and start time, and kills them with all that they started."""

import contextlib
import os
import signal
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.errors import ClusterError

PROC = Path("/proc")
LAST_LINES, LAST_COLUMNS = 30, 400
POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """started: clock ticks after boot; tells a process from a later one with its id. running: neither dead nor a zombie."""

    pid: int
    parent: int
    started: int
    running: bool


def parse_stat(text: str) -> Process:
    """/proc/<pid>/stat, see proc(5). The name, in parentheses, may hold anything."""
    pid, _, rest = text.partition(" ")
    fields = rest.rpartition(")")[2].split()
    return Process(pid=int(pid), parent=int(fields[1]), started=int(fields[19]), running=fields[0] not in "ZX")


def select_descendants(processes: Iterable[Process], roots: set[int]) -> set[int]:
    """The ids of roots and of all that descend from them."""
    children: dict[int, list[int]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process.pid)
    found, waiting = set[int](), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def read_processes() -> dict[int, Process]:
    """All processes that run now."""
    processes = (read_process(int(path.name)) for path in PROC.iterdir() if path.name.isdigit())
    return {process.pid: process for process in processes if process is not None}


def read_shims(socket: str) -> set[int]:
    """The ids of containerd's shims, which outlive it: they have its socket among their arguments."""
    return {pid for pid in read_processes() if {b"-address", socket.encode()} <= set(_arguments(pid))}


def read_process(pid: int) -> Process | None:
    """None: there is none, or it only waits for its parent to notice its end."""
    try:
        process = parse_stat((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return process if process.running else None


def start(command: tuple[str, ...], environment: Mapping[str, str], log: Path, pid_file: Path) -> Process:
    """In a session of its own, with its output added to log."""
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        files = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
        files += [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        pid = os.posix_spawnp(command[0], command, environment, file_actions=files, setsid=True)
    process = read_process(pid)
    if process is None:
        raise ClusterError(f"{command[0]} ended at once\n{last_lines(log)}")
    pid_file.write_text(f"{process.pid} {process.started}")
    return process


def recorded(pid_file: Path) -> Process | None:
    """The process that start() wrote down, while it runs."""
    try:
        pid, started = map(int, pid_file.read_text().split())
    except FileNotFoundError:
        return None
    with contextlib.suppress(ChildProcessError):  # of another run
        os.waitpid(pid, os.WNOHANG)
    process = read_process(pid)
    return process if process is not None and process.started == started else None


def kill(pids: Iterable[int]) -> None:
    """kill -9; who is gone already does not matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(what: str, check: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Asks until it is so, or says what was waited for, with the last lines of the log that matters."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s\n{last_lines(log)}")
        time.sleep(POLL_S)


def healthy(url: str) -> bool:
    """Answers 200. Whose certificate it is does not matter here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _arguments(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def last_lines(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join([f"{log}:", *(f"  {line[:LAST_COLUMNS]}" for line in lines)])
