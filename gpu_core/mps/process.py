"""The process of an MPS daemon: a child of this process or of an earlier process. Source: pidfd_open(2), proc(5)."""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

from gpu_core.mps.control import MpsFolder

AGENT_PROGRAMS = frozenset({"gpunode", "gpu-device-plugin", "gpu-dra-driver"})


class DaemonProcess:
    """file: a pidfd, readable when the process ends; None before Linux 5.3.

    status: the exit status, negative for a signal; None while the process runs, or if the process is not a child of this process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self.file: int | None = None
        with suppress(OSError, OverflowError):  # a state file may contain a number that is not a pid
            self.file = os.pidfd_open(pid)

    def has_ended(self) -> bool:
        """Whether the process has ended. Reaps a child process."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return self._is_readable(0.0) if self.file is not None else not Path(f"/proc/{self.pid}").exists()
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
        return pid != 0

    def wait(self, seconds: float) -> bool:
        """Waits for the end of the process. Returns whether the process ended within this time."""
        if self.file is not None:
            self._is_readable(seconds)
        elif not self.has_ended():
            time.sleep(seconds)
        return self.has_ended()

    def end(self, seconds: float) -> bool:
        """Waits for the end of the process, then sends SIGTERM and finally SIGKILL. Returns whether the process ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.wait(seconds):
                return True
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
        return self.wait(seconds)

    def close(self) -> None:
        """Closes the pidfd; the process continues to run."""
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def _is_readable(self, seconds: float) -> bool:
        assert self.file is not None  # noqa: S101  # nosec B101 # callers check the file
        poll = select.poll()
        poll.register(self.file, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def find_process(pid: int | None, folder: MpsFolder, proc: Path = Path("/proc")) -> DaemonProcess | None:
    """Returns the daemon of a folder if it still runs under this pid. Another process with the pid has a different environment."""
    if pid is None:
        return None
    process = DaemonProcess(pid)
    try:
        environment = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        environment = []
    if f"CUDA_MPS_PIPE_DIRECTORY={folder.pipe}".encode() in environment:
        return process
    process.close()
    return None


def ends_with_container(proc: Path = Path("/proc"), own_pid: int | None = None) -> bool:
    """Whether child processes end with this process: PID 1 of the namespace is this process or starts it, as in a container."""
    if (own_pid or os.getpid()) == 1:
        return True
    try:
        command = (proc / "1/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return not AGENT_PROGRAMS.isdisjoint(Path(word).name for word in command.replace("\0", " ").split())
