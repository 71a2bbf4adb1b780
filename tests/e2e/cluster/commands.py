"""Runs other programs. Returns their output, or raises an error that contains their error output."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.cluster.errors import ClusterError

LAST_CHARACTERS = 3000


def run(
    *command: str,
    stdin: str | None = None,
    seconds: float = 60.0,
    check: bool = True,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Returns the standard output. check: raise ClusterError if the program fails; otherwise include standard error."""
    errors = subprocess.PIPE if check else subprocess.STDOUT
    try:
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, stderr=errors, text=True, check=False,
            timeout=seconds, cwd=folder, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(command)}: timeout after {seconds:.0f} s") from error
    if check and done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()[-LAST_CHARACTERS:]}")
    return str(done.stdout)
