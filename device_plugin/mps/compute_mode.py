"""Compute modes by nvidia-smi, which comes with MPS's own programs. Source: nvidia-smi(1), `-c` and `--query-gpu=compute_mode`."""

import subprocess  # nosec B404 # the driver's nvidia-smi alone
from collections.abc import Collection, Mapping
from pathlib import Path

from device_plugin.mps.control import MpsError
from node_core.domain.inventory import GpuUuid

MODES: Mapping[str, int] = {"Default": 0, "Exclusive_Thread": 1, "Prohibited": 2, "Exclusive_Process": 3}
"""As nvidia-smi spells them -> nvmlComputeMode_t."""
SECONDS = 30.0
"""Without the persistence daemon the driver takes its time to wake a GPU."""


class SmiComputeModes:
    """program: nvidia-smi, or None where the driver has none. libraries: a loader path for it, or None."""

    def __init__(self, program: Path | None, libraries: str | None = None) -> None:
        self._program = program
        self._environment = {"LD_LIBRARY_PATH": libraries} if libraries else {}

    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]:
        """Raises MpsError."""
        said = self._run("-i", ",".join(gpus), "--query-gpu=uuid,compute_mode", "--format=csv,noheader")
        rows = [line.partition(", ") for line in said.splitlines()]
        modes = {GpuUuid(uuid): MODES[mode] for uuid, _, mode in rows if mode in MODES}
        if modes.keys() != set(gpus):
            raise MpsError(f"nvidia-smi says of compute modes: {said[:200]!r}")
        return modes

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None:
        """Raises MpsError."""
        self._run("-i", ",".join(gpus), "-c", str(mode))

    def _run(self, *arguments: str) -> str:
        if self._program is None:
            raise MpsError("the driver has no nvidia-smi", hint="mount the driver's root")
        try:
            done = subprocess.run(  # nosec B603 # no shell, and arguments that we make
                [str(self._program), *arguments],
                env=self._environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MpsError(f"nvidia-smi {' '.join(arguments)} does not end") from error
        except OSError as error:
            raise MpsError(f"cannot start {self._program}: {error.strerror}") from error
        if done.returncode != 0:
            raise MpsError(f"nvidia-smi {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[:200]}")
        return done.stdout.strip()
