"""Runs a program of the host. The image of the agents contains no programs, so the host's own program runs in the root of process 1.

A pod needs the PID namespace of the host and privileges. Source: proc(5), /proc/pid/root; chroot(2).
"""

import subprocess  # nosec B404 # fixed programs of the host
import sys
from collections.abc import Sequence

from node_core.errors import MigError

SECONDS = 60.0
MAX_OUTPUT = 400
ENTER = """
import os, sys
root, *arguments = sys.argv[1:]
try:
    os.chroot(root)
    os.chdir("/")
    os.execvp(arguments[0], arguments)
except OSError as error:
    sys.exit(str(error))
"""
"""Replaces itself by a program below another root. A new process, because chroot(2) concerns all threads of a process."""
PREFIX = (sys.executable, "-I", "-S", "-c", ENTER)
HOST = "/proc/1/root"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run_on_host(arguments: Sequence[str], *, prefix: Sequence[str] = (*PREFIX, HOST), seconds: float = SECONDS) -> None:
    """Runs a command of the host. Raises MigError with its last output if the command fails or does not end."""
    shown = " ".join(arguments)
    try:
        done = subprocess.run(  # nosec B603 # no shell
            [*prefix, *arguments],
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MigError(f"{shown} on the host did not end within {seconds:g} s") from error
    except OSError as error:
        raise MigError(f"cannot start {shown} on the host: {error.strerror}") from error
    if done.returncode != 0:
        raise MigError(f"{shown} on the host, status {done.returncode}: {done.stdout.strip()[-MAX_OUTPUT:]}")
