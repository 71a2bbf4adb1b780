"""Runs nvidia-smi of the driver. Source: nvidia-smi(1)."""

import subprocess  # nosec B404 # the driver's nvidia-smi alone
from pathlib import Path

import msgspec

from node_core.errors import NodeError

SMI = "nvidia-smi"
SECONDS = 30.0
"""The timeout. Without the persistence daemon the driver needs a long time to initialise a GPU."""


class SmiError(NodeError):
    """nvidia-smi does not exist, or failed."""


class NvidiaSmi(msgspec.Struct, frozen=True):
    """program: the full path; None if the driver does not contain it. libraries: its loader path, or None."""

    program: Path | None
    libraries: str | None = None

    def run(self, *arguments: str, seconds: float = SECONDS) -> str:
        """Returns the output. Raises SmiError."""
        if self.program is None:
            raise SmiError("the driver does not contain nvidia-smi", hint="mount the driver root")
        try:
            done = subprocess.run(  # nosec B603 # no shell, and fixed arguments
                [str(self.program), *arguments],
                env=loader_path(self.libraries),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SmiError(f"nvidia-smi {' '.join(arguments)} did not end within {seconds:.0f} s") from error
        except OSError as error:
            raise SmiError(f"cannot start {self.program}: {error.strerror}") from error
        if done.returncode != 0:
            raise SmiError(f"nvidia-smi {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[:200]}")
        return done.stdout.strip()


def loader_path(libraries: str | None) -> dict[str, str]:
    """Returns the environment for a program of the driver."""
    return {"LD_LIBRARY_PATH": libraries} if libraries else {}
