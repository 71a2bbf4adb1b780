"""Runs a program of the host. The image of the agents contains no programs, so the host's own program runs in a root of the host.

Process 1 has such a root: the pod then needs the PID namespace of the host and privileges. The root may also be a mount of the host's `/`:
then the pod needs the capability SYS_CHROOT. Source: proc(5), /proc/pid/root; chroot(2).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import TimeoutExpired  # nosec B404 # only the error

from node_core.errors import HostCommandError
from node_core.host.limited_program import run_limited

SECONDS = 60.0
MAX_OUTPUT = 400
PROCESS_1 = Path("/proc/1/root")
ENTER = """
import os, sys, warnings
root, *arguments = sys.argv[1:]
try:
    os.chroot(root)
    os.chdir("/")
    os.execvp(arguments[0], arguments)
except OSError as error:
    sys.exit(str(error))
"""
"""Replaces itself by a program below another root. A new process, because chroot(2) concerns all threads of a process.

execvp imports the module warnings. The other root need not contain Python, so the module is imported before.
"""
PREFIX = (sys.executable, "-I", "-S", "-c", ENTER)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run_on_host(arguments: Sequence[str], *, root: Path | None = PROCESS_1, seconds: float = SECONDS) -> str:
    """Runs a command of the host, and returns its standard output.

    root: `/` of the host, as this process sees it; None to run the program of this process's own root.

    Raises HostCommandError with the last output if the command fails or does not end.
    """
    shown = f"{' '.join(arguments)} on the host"
    prefix = () if root is None else (*PREFIX, str(root))
    try:
        done = run_limited([*prefix, *arguments], env={"PATH": PATH}, seconds=seconds)
    except TimeoutExpired as error:
        raise HostCommandError(f"{shown} did not end within {seconds:g} s") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise HostCommandError(f"cannot start {shown}: {why}") from error
    if done.status != 0:
        output = f"{done.output}{done.errors}".strip()[-MAX_OUTPUT:]
        raise HostCommandError(f"{shown}, status {done.status}: {output}")
    return done.output
