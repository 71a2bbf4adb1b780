"""Runs nvidia-smi of the driver. Source: nvidia-smi(1)."""

import subprocess  # nosec B404 # the driver's nvidia-smi alone
from contextlib import suppress
from pathlib import Path

import msgspec

from node_core.errors import NodeError

SMI = "nvidia-smi"
SECONDS = 30.0
"""The timeout. Without the persistence daemon the driver needs a long time to initialise a GPU."""
KILL_SECONDS = 1.0


class SmiError(NodeError):
    """nvidia-smi does not exist, or failed."""


class SmiTimeoutError(SmiError):
    """nvidia-smi did not end in time. Whether it changed a GPU is unknown."""


class NvidiaSmi(msgspec.Struct, frozen=True):
    """program: the full path; None if the driver does not contain it. libraries: its loader path, or None."""

    program: Path | None
    libraries: str | None = None

    def run(self, *arguments: str, seconds: float = SECONDS) -> str:
        """Returns the output. Raises SmiError."""
        if self.program is None:
            raise SmiError("the driver does not contain nvidia-smi", hint="mount the driver root")
        try:
            process = subprocess.Popen(  # nosec B603 # no shell, and fixed arguments
                [str(self.program), *arguments],
                env=loader_path(self.libraries),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise SmiError(f"cannot start {self.program}: {error.strerror}") from error
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # a process that waits for a GPU that hangs does not end
                process.communicate(timeout=KILL_SECONDS)
            for stream in filter(None, (process.stdout, process.stderr)):
                stream.close()
            raise SmiTimeoutError(f"nvidia-smi {' '.join(arguments)} did not end within {seconds:.0f} s") from error
        if process.returncode != 0:
            raise SmiError(f"nvidia-smi {' '.join(arguments)}: {(errors or output).strip()[:200]}")
        return output.strip()


def loader_path(libraries: str | None) -> dict[str, str]:
    """Returns the environment for a program of the driver."""
    return {"LD_LIBRARY_PATH": libraries} if libraries else {}
