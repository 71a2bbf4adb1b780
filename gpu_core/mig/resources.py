"""What the GPU instances of one GPU share, besides memory slices. PURE."""

from gpu_core.mig.model import InstanceProfile, MigGpu

Resources = tuple[int, ...]
"""Compute slices, decoders, encoders, JPEG engines, OFA engines, and GPU instances of each profile of the GPU.

Copy engines and multiprocessors are not among them: some boards share copy engines, and multiprocessors follow compute slices.
"""


def resources_of(gpu: MigGpu, profile: InstanceProfile) -> Resources:
    """Returns what one GPU instance of a profile uses."""
    return (*_engines(profile), *(int(each.number == profile.number) for each in gpu.profiles))


def resource_limits(gpu: MigGpu) -> Resources:
    """Returns what all GPU instances can use together. NVML reports no total, but `max_count` instances of each profile fit."""
    engines = [[profile.max_count * amount for amount in _engines(profile)] for profile in gpu.profiles]
    return (*map(max, zip(*engines, strict=True)), *(profile.max_count for profile in gpu.profiles))


def _engines(profile: InstanceProfile) -> Resources:
    engines = profile.engines
    return (profile.slices, engines.decoders, engines.encoders, engines.jpeg, engines.ofa)
