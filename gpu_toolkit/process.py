"""Reads which process listens on the socket of a runtime. Its own command line and executable are those to ask, not those of a PATH.

Source: unix(7), SO_PEERCRED; proc(5); systemd, "Control Group APIs".
"""

import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gpu_core.pods.processes import PROC
from gpu_toolkit.model import Process

CONNECT_SECONDS = 5.0
_CREDENTIALS = struct.Struct("3i")
_START = 19
"""The place of `starttime` among the fields of /proc/<pid>/stat after the name of the program."""
_INIT = 1


def read_process(path: Path, proc: Path = PROC) -> Process | None:
    """Returns the process that listens on a socket; None if it is not visible, or if systemd listens in its place."""
    with suppress(OSError, IndexError):
        pid = _peer(path)
        if pid <= _INIT:
            return None
        folder = proc / str(pid)
        started = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[_START]
        command = parse_command_line((folder / "cmdline").read_bytes())
        return Process(
            identity=f"{pid}:{started}",
            command=command,
            program=find_program(os.readlink(folder / "exe"), command[0]),  # noqa: PTH115 - not a path of this namespace
            unit=parse_unit((folder / "cgroup").read_text(errors="replace")),
        )
    return None


def _peer(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(CONNECT_SECONDS)
        peer.connect(str(path))
        pid, _, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(pid)


def parse_command_line(content: bytes) -> tuple[str, ...]:
    """Parses /proc/<pid>/cmdline. PURE."""
    return tuple(content.decode(errors="replace").rstrip("\0").split("\0"))


def find_program(executable: str, called: str) -> str:
    """Returns the path to call the program again. PURE.

    Some programs do what their name says: k3s runs `containerd` as a link to itself, in the folder of its executable.
    """
    path = executable.removesuffix(" (deleted)")
    return f"{path.rpartition('/')[0]}/{called.rpartition('/')[2]}"


def parse_unit(cgroup: str) -> str | None:
    """Parses /proc/<pid>/cgroup. Returns the systemd service of the process, the innermost one. PURE."""
    for line in cgroup.splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        units = [part for part in path.split("/") if part.endswith(".service")]
        if units and controllers in ("", "name=systemd"):
            return units[-1]
    return None


def flag_value(command: Iterable[str], *flags: str) -> str | None:
    """Returns the value of the first of these flags in a command line, as `--flag value` or `--flag=value`. PURE."""
    words = list(command)
    for index, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if name in flags and has_value:
            return value
        if word in flags and index + 1 < len(words):
            return words[index + 1]
    return None
