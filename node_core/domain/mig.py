"""Names of MIG profiles, as nvidia-smi prints them: `1g.10gb`, `1g.10gb+me`, `1c.3g.40gb`.

NVML has numbers only; this is the one place that makes names of them, so labels, resources and metrics cannot disagree.
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
}
"""GPU instance profile -> compute slices and what the name ends with. 17 (3g with graphics) has no settled name yet."""

COMPUTE_INSTANCE_SLICES: Mapping[int, int] = {0: 1, 1: 2, 2: 3, 3: 4, 4: 7, 5: 8, 6: 6, 7: 1, 8: 7}
"""Compute instance profile -> compute slices."""

MIB = 1 << 20
GIB = 1 << 30


def profile_name(
    gpu_instance_profile: int, compute_instance_profile: int, mig_memory_mib: int, total_memory_bytes: int
) -> str | None:
    """The name of a MIG device's profile; None for profile numbers outside the tables, or a GPU without memory of its own.

    mig_memory_mib: memorySizeMB of the MIG device. total_memory_bytes: of the whole GPU.
    """
    instance = GPU_INSTANCE_SLICES.get(gpu_instance_profile)
    compute = COMPUTE_INSTANCE_SLICES.get(compute_instance_profile)
    if instance is None or compute is None or total_memory_bytes <= 0:
        return None
    slices, suffix = instance
    part = "" if compute == slices else f"{compute}c."
    return f"{part}{slices}g.{nominal_gb(mig_memory_mib, total_memory_bytes)}gb{suffix}"


def nominal_gb(mig_memory_mib: int, total_memory_bytes: int) -> int:
    """The memory that a profile's name gives: its eighths of the GPU, of the GPU's memory rounded up to whole GiB.

    NVIDIA names the share and not the size that is usable. Integers throughout, halves rounded up: 2/8 of 186 GiB is 47.
    """
    eighths = _divide_up(8 * mig_memory_mib * MIB, total_memory_bytes)
    return (eighths * _divide_up(total_memory_bytes, GIB) + 4) // 8


def label_form(profile: str) -> str:
    """The profile as it stands in label keys, values and resource names, where `+` is not allowed: `1g.10gb.me`."""
    return profile.replace("+", ".")


def _divide_up(amount: int, by: int) -> int:
    return -(-amount // by)
