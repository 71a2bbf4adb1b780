"""The compute instance profiles of a GPU instance profile. PURE.

NVML reports them for an existing GPU instance only. A plan needs them before. Source: NVIDIA MIG user guide, compute instances.
"""

from collections.abc import Mapping

from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, profile_name
from gpu_core.mig.model import ComputeProfile

COMPUTE_SLICES: Mapping[int, tuple[int, ...]] = {1: (1,), 2: (1, 2), 3: (1, 2, 3), 4: (1, 2, 4), 7: (1, 2, 3, 4, 7)}
"""Compute slices of a GPU instance -> those of its compute instances."""
COMPUTE_NUMBERS: Mapping[int, int] = {
    slices: number for number, slices in sorted(COMPUTE_INSTANCE_SLICES.items(), reverse=True)
}
"""Compute slices -> NVML_COMPUTE_INSTANCE_PROFILE_*, without the revisions of a profile, which have higher numbers."""


def compute_profiles(number: int, slices: int, memory_mib: int, total_memory: int) -> tuple[ComputeProfile, ...]:
    """The profiles, sorted by slices; the last one is the whole GPU instance. Empty if the profile of the GPU instance has no name.

    number: NVML_GPU_INSTANCE_PROFILE_*. slices, memory_mib: of the GPU instance profile. total_memory: bytes of the GPU.
    """
    found = []
    for size in COMPUTE_SLICES.get(slices, (slices,)):
        name = profile_name(number, COMPUTE_NUMBERS[size], memory_mib, total_memory)
        if name is not None:
            found.append(ComputeProfile(number=COMPUTE_NUMBERS[size], name=name, slices=size, max_count=slices // size))
    return tuple(found)
