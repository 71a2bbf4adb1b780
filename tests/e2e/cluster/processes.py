"""Starts programs that outlive this process, identifies them by PID and start time, and kills them with their descendants."""

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
    """started: clock ticks after boot; distinguishes processes that had the same PID. running: one of its threads is alive."""

    pid: int
    parent: int
    started: int
    running: bool


def parse_stat(text: str) -> Process:
    """Parses /proc/<pid>/stat, see proc(5). The name, in parentheses, may contain any character.

    The state is that of the main thread. A killed process whose main thread is a zombie holds its ports until its last
    thread ends; num_threads is 1 then.
    """
    pid, _, rest = text.partition(" ")
    fields = rest.rpartition(")")[2].split()
    running = fields[0] not in "ZX" or int(fields[17]) > 1
    return Process(pid=int(pid), parent=int(fields[1]), started=int(fields[19]), running=running)


def select_descendants(processes: Iterable[Process], roots: set[int]) -> set[int]:
    """Returns the PIDs of the roots and of their descendants."""
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
    """Returns all running processes by PID."""
    processes = (read_process(int(path.name)) for path in PROC.iterdir() if path.name.isdigit())
    return {process.pid: process for process in processes if process is not None}


def read_shims(socket: str) -> set[int]:
    """Returns the PIDs of containerd's shims, which outlive containerd. Their arguments contain its socket."""
    return {pid for pid in read_processes() if {b"-address", socket.encode()} <= set(_arguments(pid))}


def read_process(pid: int) -> Process | None:
    """Returns None if the process does not exist or all its threads have ended."""
    try:
        process = parse_stat((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return process if process.running else None


def start(command: tuple[str, ...], environment: Mapping[str, str], log: Path, pid_file: Path) -> Process:
    """Starts a command in a new session. Appends its output to the log."""
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        files: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
        files += [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        files += [(os.POSIX_SPAWN_CLOSE, number) for number in _inherited()]
        pid = os.posix_spawnp(command[0], command, environment, file_actions=files, setsid=True)
    process = read_process(pid)
    if process is None:
        raise ClusterError(f"{command[0]} ended immediately\n{last_lines(log)}")
    pid_file.write_text(f"{process.pid} {process.started}")
    return process


def _inherited() -> list[int]:
    """The descriptors above 2 that a new program would inherit, such as that of `flock FILE make e2e`: it would have the lock for ever."""
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - only names are needed
    return [number for number in numbers if number > 2 and _is_inheritable(number)]


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the descriptor of the list itself is closed
        return False


def recorded(pid_file: Path) -> Process | None:
    """Returns the process that start() recorded; None if it has ended."""
    try:
        pid, started = map(int, pid_file.read_text().split())
    except FileNotFoundError:
        return None
    with contextlib.suppress(ChildProcessError):  # the process belongs to another run
        os.waitpid(pid, os.WNOHANG)
    process = read_process(pid)
    return process if process is not None and process.started == started else None


def kill(pids: Iterable[int]) -> None:
    """Sends SIGKILL. Ignores processes that have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until(what: str, check: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Polls `check` until it returns True. Raises ClusterError with the last lines of the log after the timeout."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"timeout after {seconds:.0f} s, waiting for {what}\n{last_lines(log)}")
        time.sleep(POLL_S)


def healthy(url: str) -> bool:
    """Whether the URL returns 200. Does not verify the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as response:  # noqa: S310
            return bool(response.status == 200)
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
