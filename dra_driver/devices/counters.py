"""Counters that all devices of one GPU share, so that a scheduler allocates no two devices that overlap.

Each memory slice is a counter of 1. Engines are counters, because some profiles do not exist twice, although their memory slices are free.
Source: KEP-4815, partitionable devices; NVML API reference, nvmlDeviceGetGpuInstancePossiblePlacements.
"""

from collections.abc import Mapping

from dra_driver.devices.model import CounterSet
from dra_driver.devices.names import gpu_device_name
from gpu_core.domain.inventory import Gpu
from gpu_core.domain.mig import MIB
from gpu_core.mig.model import InstanceProfile, MigGpu, Placement


def counter_set_of(gpu: Gpu, mig: MigGpu) -> CounterSet:
    """Returns the counters of a whole GPU, all of which the full GPU consumes.

    NVML reports no total of engines. `max_count` GPU instances of each profile fit, so the largest product is at least available.
    """
    amounts = [(profile.max_count, _amounts(profile)) for profile in mig.profiles]
    names = amounts[0][1] if amounts else {}
    totals = {name: max(count * amount[name] for count, amount in amounts) for name in names}
    ends = [place.start + place.size for profile in mig.profiles for place in profile.placements]
    slices = {_memory_slice(number): 1 for number in range(max(ends, default=0))}
    totals["memory"] = max(totals.get("memory", 0), gpu.memory_bytes or 0)
    return CounterSet(name=f"{gpu_device_name(gpu)}-counter-set", counters={**totals, **slices})


def counters_of(profile: InstanceProfile, placement: Placement) -> Mapping[str, int]:
    """Returns what one GPU instance consumes. Amounts of 0 are absent."""
    slices = {_memory_slice(number): 1 for number in sorted(placement.slices)}
    return {**{name: amount for name, amount in _amounts(profile).items() if amount}, **slices}


def _amounts(profile: InstanceProfile) -> dict[str, int]:
    engines = profile.engines
    return {
        "memory": profile.memory_mib * MIB,
        "compute-slices": profile.slices,
        "multiprocessors": engines.multiprocessors,
        "copy-engines": engines.copy,
        "decoders": engines.decoders,
        "encoders": engines.encoders,
        "jpeg-engines": engines.jpeg,
        "ofa-engines": engines.ofa,
    }


def _memory_slice(number: int) -> str:
    return f"memory-slice-{number}"
