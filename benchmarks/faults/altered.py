"""`gpunode` with a changed clock, or that is killed before its Nth write: `python -m benchmarks.faults.altered run ...`.

The environment selects the changes:

- FAULTS_CLOCK: a file with the seconds by which the wall clock (time.time) is wrong. Each read of the clock reads the file.
- FAULTS_RATE: how many times as fast the control loops, the informers and their back-off run.
- FAULTS_KILL_AT: the number of the write before which the process receives SIGKILL. A write is a change of a file or a folder outside of
  Python's cache, the bind of a socket, or a request that changes an object of the API.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

CLOCK, RATE, KILL_AT = "FAULTS_CLOCK", "FAULTS_RATE", "FAULTS_KILL_AT"
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "socket.bind"}
"""Audit events. Source: Python documentation, audit events table."""
VERBS = (b"PATCH ", b"POST ", b"PUT ", b"DELETE ")


def is_write(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event is a write. PURE."""
    if event == "http.client.send":
        data = arguments[1]
        return isinstance(data, bytes) and data.startswith(VERBS)
    if event == "open":
        path, _, flags = arguments
        changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return (
            bool(changes)
            and not isinstance(path, int)
            and not str(path).startswith(("/dev/", "/proc/"))
            and "__pycache__" not in str(path)
        )
    return event in CHANGES and "__pycache__" not in str(arguments[0])


def kill_at(number: int) -> None:
    """Ends this process with SIGKILL before the write with this number, counted from 1."""
    numbers = count(1)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if is_write(event, arguments) and next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def shift_wall_clock(path: str, real: Callable[[], float] = time.time) -> None:
    def wall() -> float:
        with open(path, "rb") as file:  # noqa: PTH123 # smaller than pathlib: each read of the clock calls this
            return real() + float(file.read())

    time.time = wall


def run_faster(rate: float, real: Callable[[], float] = time.monotonic) -> None:
    """Accelerates loops, informers and back-off. Deadlines of NVML, gRPC and HTTP remain those of the machine."""
    time.monotonic = lambda: real() * rate
    from node_core.kube import informer  # noqa: PLC0415 # after the change of the clock
    from node_core.runtime import services  # noqa: F401, PLC0415 # both retain the fast clock as their default
    from node_core.runtime.mailbox import Mailbox  # noqa: PLC0415

    time.monotonic = real
    get, wait_for = Mailbox.get, Mailbox.wait_for

    class FastEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(None if timeout is None else timeout / rate)

    vars(informer)["threading"] = SimpleNamespace(**{**vars(threading), "Event": FastEvent})
    Mailbox.get = lambda self, timeout=None: get(self, None if timeout is None else timeout / rate)  # type: ignore[method-assign]
    Mailbox.wait_for = lambda self, kind, timeout: wait_for(self, kind, timeout / rate)  # type: ignore[method-assign]


def main() -> None:
    if path := os.environ.get(CLOCK):
        shift_wall_clock(path)
    if rate := os.environ.get(RATE):
        run_faster(float(rate))
    from gpunode.__main__ import main as gpunode  # noqa: PLC0415 # after the changes

    if number := os.environ.get(KILL_AT):
        kill_at(int(number))
    gpunode()


if __name__ == "__main__":
    main()
