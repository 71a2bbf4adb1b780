"""Reads and writes compute modes through nvidia-smi, which is installed with the MPS programs.

Source: nvidia-smi(1), `-c` and `--query-gpu=compute_mode`.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec

from gpu_core.domain.inventory import GpuUuid
from gpu_core.host.nvidia_smi import NvidiaSmi
from gpu_core.mps.control import MpsError
from node_core.errors import NodeError

MODES: Mapping[str, int] = {"Default": 0, "Exclusive_Thread": 1, "Prohibited": 2, "Exclusive_Process": 3}
"""nvidia-smi's name -> nvmlComputeMode_t."""
DEFAULT, EXCLUSIVE_PROCESS = 0, 3
"""EXCLUSIVE_PROCESS: only the MPS server can create a context, so processes cannot bypass MPS."""


class ComputeModes(Protocol):
    """Reads and writes nvmlComputeMode_t of GPUs. Both methods raise NodeError."""

    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]: ...

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None: ...


class SmiComputeModes(msgspec.Struct, frozen=True):
    smi: NvidiaSmi

    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]:
        """Raises NodeError."""
        output = self.smi.run("-i", ",".join(gpus), "--query-gpu=uuid,compute_mode", "--format=csv,noheader")
        rows = [line.partition(", ") for line in output.splitlines()]
        modes = {GpuUuid(uuid): MODES[mode] for uuid, _, mode in rows if mode in MODES}
        if modes.keys() != set(gpus):
            raise MpsError(f"nvidia-smi does not report the compute modes: {output[:200]!r}")
        return modes

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None:
        """Raises NodeError."""
        self.smi.run("-i", ",".join(gpus), "-c", str(mode))


def restore_modes(modes: ComputeModes, before: Mapping[GpuUuid, int]) -> Mapping[GpuUuid, str]:
    """Restores the compute modes. Returns the errors by GPU. If a mode cannot be set for several GPUs at once, sets each GPU separately."""
    failed: dict[GpuUuid, str] = {}
    for mode in sorted(set(before.values())):
        gpus = [uuid for uuid, each in before.items() if each == mode]
        try:
            modes.write(gpus, mode)
        except NodeError as error:
            if len(gpus) == 1:
                if not _has_mode(modes, gpus[0], mode):
                    failed[gpus[0]] = str(error)
            else:
                for gpu in gpus:
                    failed |= restore_modes(modes, {gpu: mode})
    return failed


def _has_mode(modes: ComputeModes, gpu: GpuUuid, mode: int) -> bool:
    """Whether the GPU has the mode. Without the right to change modes, the first change was refused too."""
    try:
        return modes.read([gpu])[gpu] == mode
    except NodeError:
        return False
