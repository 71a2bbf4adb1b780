"""Finds the processes that have a device of the driver open, to name them in errors. Source: proc_pid_fd(5)."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gpu_core.pods.processes import read_processes

DEVICE = "/dev/nvidia"
MAX_NAMED = 8
COMMAND_BYTES = 64


def list_device_users(proc: Path) -> tuple[str, ...]:
    """Describes at most MAX_NAMED processes, and how many others there are. proc: of the host's PID namespace."""
    found = list(_find_users(proc))
    pods = {pid: facts.pods for pid, facts in read_processes(found[:MAX_NAMED], proc).items()}
    named = [_describe(proc, pid, pods[pid][0].uid if pods.get(pid) else "") for pid in found[:MAX_NAMED]]
    others = len(found) - len(named)
    return (*named, *([f"{others} other processes"] if others else []))


def _find_users(proc: Path) -> Iterator[int]:
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdecimal()):  # noqa: PTH208 - names alone
        if any(target.startswith(DEVICE) for target in _open_files(proc / str(pid) / "fd")):
            yield pid


def _open_files(folder: Path) -> Iterator[str]:
    with suppress(OSError):  # the process has ended
        for name in os.listdir(folder):  # noqa: PTH208 - names alone
            with suppress(OSError):
                yield os.readlink(folder / name)  # noqa: PTH115 - the target as text


def _describe(proc: Path, pid: int, pod: str) -> str:
    try:
        with (proc / str(pid) / "comm").open("rb") as file:
            command = file.read(COMMAND_BYTES).decode(errors="replace").strip()
    except OSError:
        command = ""
    shown = f"process {pid}{f' ({command})' if command.isprintable() and command else ''}"
    return f"{shown} of the pod with the UID {pod}" if pod else shown
