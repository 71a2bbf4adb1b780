"""Names of MIG profiles, as nvidia-smi prints them: `1g.10gb`, `1g.10gb+me`, `1c.3g.40gb`.

NVML has numbers only. Labels, resources and metrics all use the names from this module.
Source: NVML API reference, NVML_GPU_INSTANCE_PROFILE_* and NVML_COMPUTE_INSTANCE_PROFILE_*; NVIDIA MIG user guide, profile names.
"""

from collections.abc import Mapping

GPU_INSTANCE_SLICES: Mapping[int, tuple[int, str]] = {
    0: (1, ""),
    1: (2, ""),
    2: (3, ""),
    3: (4, ""),
    4: (7, ""),
    5: (8, ""),
    6: (6, ""),
    7: (1, "+me"),
    8: (2, "+me"),
    9: (1, ""),
    10: (1, "+gfx"),
    11: (2, "+gfx"),
    12: (4, "+gfx"),
    13: (1, "-me"),
    14: (2, "-me"),
    15: (1, "+me.all"),
    16: (2, "+me.all"),
    17: (3, "+gfx"),
}
"""GPU instance profile -> compute slices and the suffix of the name."""

COMPUTE_INSTANCE_SLICES: Mapping[int, int] = {0: 1, 1: 2, 2: 3, 3: 4, 4: 7, 5: 8, 6: 6, 7: 1, 8: 7}
"""Compute instance profile -> compute slices."""

MIB = 1 << 20
GIB = 1 << 30


def profile_name(
    gpu_instance_profile: int, compute_instance_profile: int, mig_memory_mib: int, total_memory_bytes: int
) -> str | None:
    """The name of a MIG device's profile; None for unknown profile numbers, or if only the memory of the whole GPU is unknown.

    mig_memory_mib: memorySizeMB of the MIG device. total_memory_bytes: of the whole GPU. Both are 0 for a GPU without its own memory,
    whose profiles are named `2g.0gb`.
    """
    instance = GPU_INSTANCE_SLICES.get(gpu_instance_profile)
    compute = COMPUTE_INSTANCE_SLICES.get(compute_instance_profile)
    if instance is None or compute is None or (total_memory_bytes <= 0 < mig_memory_mib):
        return None
    slices, suffix = instance
    part = "" if compute == slices else f"{compute}c."
    return f"{part}{slices}g.{nominal_gb(mig_memory_mib, total_memory_bytes)}gb{suffix}"


def nominal_gb(mig_memory_mib: int, total_memory_bytes: int) -> int:
    """The memory in a profile's name, in GB: the profile's eighths of the GPU's memory, which is rounded up to whole GiB.

    NVIDIA names the share, not the usable size. Halves are rounded up: 2/8 of 186 GiB is 47.
    """
    if total_memory_bytes <= 0:
        return 0
    eighths = _divide_and_round_up(8 * mig_memory_mib * MIB, total_memory_bytes)
    return (eighths * _divide_and_round_up(total_memory_bytes, GIB) + 4) // 8


def label_form(profile: str) -> str:
    """The profile as written in label keys, label values and resource names, which do not allow `+`: `1g.10gb.me`."""
    return profile.replace("+", ".")


def _divide_and_round_up(amount: int, by: int) -> int:
    return -(-amount // by)
