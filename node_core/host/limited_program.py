"""Runs a program with a limit of time that also holds for a program that a driver blocks: SIGKILL does not end such a process (state D).

The output goes to files in memory: the reader of a pipe would wait for processes that the program leaves in the background.
Source: wait(2), memfd_create(2).
"""

import os
import signal
import subprocess  # nosec B404 # the caller's arguments
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

KILL_SECONDS = 2.0
"""After this time nobody waits for a killed process any more."""
LIMIT = 4 << 20
"""Of each output, the last bytes are read."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """status: negative for a signal. output, errors: the standard output and the standard error."""

    status: int
    output: str
    errors: str


def kill_group(pid: int) -> None:
    """Kills the processes of the group that a process leads."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def run_limited(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    cwd: Path | str | None = None,
    kill: Callable[[int], None] = kill_group,
    kill_seconds: float = KILL_SECONDS,
) -> Ended:
    """Runs a program without a shell.

    Raises OSError and ValueError if the program cannot be started, and TimeoutExpired after killing the program and what it has started.
    """
    with _memory() as output, _memory() as errors:
        process = subprocess.Popen(  # nosec B603 # no shell
            arguments,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except BaseException:
            kill(process.pid)
            with suppress(subprocess.TimeoutExpired):
                process.wait(kill_seconds)
            raise
        return Ended(status=status, output=_read_end(output), errors=_read_end(errors))


def _memory() -> BinaryIO:
    return os.fdopen(os.memfd_create("output"), "w+b")


def _read_end(file: BinaryIO) -> str:
    start = max(0, os.fstat(file.fileno()).st_size - LIMIT)
    return os.pread(file.fileno(), LIMIT, start).decode(errors="replace")
