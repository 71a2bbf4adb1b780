"""Reads and writes compute modes through nvidia-smi, which is installed with the MPS programs.

Source: nvidia-smi(1), `-c` and `--query-gpu=compute_mode`.
"""

import subprocess  # nosec B404 # the driver's nvidia-smi alone
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from device_plugin.mps.control import MpsError, loader_path
from gpu_core.domain.inventory import GpuUuid
from node_core.errors import NodeError

MODES: Mapping[str, int] = {"Default": 0, "Exclusive_Thread": 1, "Prohibited": 2, "Exclusive_Process": 3}
"""nvidia-smi's name -> nvmlComputeMode_t."""
DEFAULT, EXCLUSIVE_PROCESS = 0, 3
"""EXCLUSIVE_PROCESS: only the MPS server can create a context, so processes cannot bypass MPS."""
SECONDS = 30.0
"""The timeout. Without the persistence daemon the driver needs a long time to initialise a GPU."""


class ComputeModes(Protocol):
    """Reads and writes nvmlComputeMode_t of GPUs. Both methods raise NodeError."""

    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]: ...

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None: ...


@dataclass(frozen=True, slots=True)
class SmiComputeModes:
    """program: the path of nvidia-smi; None if the driver does not contain it. libraries: its loader path, or None."""

    program: Path | None
    libraries: str | None = None

    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]:
        """Raises MpsError."""
        output = self._run("-i", ",".join(gpus), "--query-gpu=uuid,compute_mode", "--format=csv,noheader")
        rows = [line.partition(", ") for line in output.splitlines()]
        modes = {GpuUuid(uuid): MODES[mode] for uuid, _, mode in rows if mode in MODES}
        if modes.keys() != set(gpus):
            raise MpsError(f"nvidia-smi does not report the compute modes: {output[:200]!r}")
        return modes

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None:
        """Raises MpsError."""
        self._run("-i", ",".join(gpus), "-c", str(mode))

    def _run(self, *arguments: str) -> str:
        if self.program is None:
            raise MpsError("the driver does not contain nvidia-smi", hint="mount the driver root")
        try:
            done = subprocess.run(  # nosec B603 # no shell, and fixed arguments
                [str(self.program), *arguments],
                env=loader_path(self.libraries),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MpsError(f"nvidia-smi {' '.join(arguments)} did not end within {SECONDS:.0f} s") from error
        except OSError as error:
            raise MpsError(f"cannot start {self.program}: {error.strerror}") from error
        if done.returncode != 0:
            raise MpsError(f"nvidia-smi {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[:200]}")
        return done.stdout.strip()


def restore_modes(modes: ComputeModes, before: Mapping[GpuUuid, int]) -> Mapping[GpuUuid, str]:
    """Restores the compute modes. Returns the errors by GPU. If a mode cannot be set for several GPUs at once, sets each GPU separately."""
    failed: dict[GpuUuid, str] = {}
    for mode in sorted(set(before.values())):
        gpus = [uuid for uuid, each in before.items() if each == mode]
        try:
            modes.write(gpus, mode)
        except NodeError as error:
            if len(gpus) == 1:
                failed[gpus[0]] = str(error)
            else:
                for gpu in gpus:
                    failed |= restore_modes(modes, {gpu: mode})
    return failed
