"""The assessment of one GPU, or of one GPU instance. PURE."""

import msgspec

from gpu_core.domain.health import Phase
from gpu_core.domain.inventory import GpuUuid, gpu_name

GpuPart = tuple[GpuUuid, int | None]
"""A whole GPU (None), or one of its GPU instances."""


class GpuAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a GPU, or of one GPU instance. index: NVML's index; None if unknown. why: a sentence; None if healthy.

    todo: what an administrator does. outlook: how a GPU that is not usable returns.
    """

    gpu: GpuUuid
    index: int | None = None
    gpu_instance: int | None = None
    phase: Phase
    why: str | None = None
    todo: str | None = None
    outlook: str | None = None

    @property
    def name(self) -> str:
        gpu = gpu_name(self.gpu, self.index)
        return gpu if self.gpu_instance is None else f"{gpu}, GPU instance {self.gpu_instance}"

    def concerns(self, gpu: GpuUuid, gpu_instance: int | None) -> bool:
        """Whether a device is on this part of the GPU. gpu_instance: of the device; None for a full GPU."""
        return self.gpu == gpu and self.gpu_instance in (None, gpu_instance)
